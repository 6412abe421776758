-- What happened to datasets. Rows are numbered under the lock of the counter's only
-- row, which is held until the COMMIT: so their numbers become visible in order.
CREATE TABLE dataset.event_counter (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  last_sequence bigint NOT NULL CHECK (last_sequence >= forgotten_sequence),
  -- Events up to this one may be gone.
  forgotten_sequence bigint NOT NULL CHECK (forgotten_sequence >= 0)
);
INSERT INTO dataset.event_counter (last_sequence, forgotten_sequence) VALUES (0, 0);

CREATE TABLE dataset.events (
  sequence bigint PRIMARY KEY CHECK (sequence >= 1),
  kind text NOT NULL CHECK (kind IN ('PUBLISHED', 'UPDATED', 'DELETED')),
  dataset_id uuid NOT NULL REFERENCES dataset.datasets (dataset_id),
  slug text NOT NULL,
  version integer NOT NULL CHECK (version >= 1),
  at_ms bigint NOT NULL
);
CREATE INDEX events_by_dataset ON dataset.events (dataset_id, sequence);
CREATE INDEX events_by_slug ON dataset.events (slug, sequence);
CREATE INDEX events_oldest_first ON dataset.events (at_ms);
