-- The catalogue: what is published, what is being imported, and who needs what.
-- All times are UTC milliseconds.

-- One row per slug that was ever asked for. It outlives its datasets, so that
-- versions never restart and no table name is ever made twice.
CREATE TABLE dataset.slugs (
  slug text PRIMARY KEY CHECK (slug ~ '^[a-z][a-z0-9_]{0,47}$'),
  last_version integer NOT NULL DEFAULT 0 CHECK (last_version >= 0),
  last_attempt integer NOT NULL DEFAULT 0 CHECK (last_attempt >= 0)
);

-- A deleted dataset stays as a tombstone, with its versions.
CREATE TABLE dataset.datasets (
  dataset_id uuid PRIMARY KEY,
  slug text NOT NULL REFERENCES dataset.slugs (slug),
  symbol text NOT NULL,
  granularity text NOT NULL,
  source text NOT NULL,
  metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
  version integer NOT NULL CHECK (version >= 1),
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL CHECK (updated_at_ms >= created_at_ms),
  deleted_at_ms bigint CHECK (deleted_at_ms >= created_at_ms)
);
CREATE UNIQUE INDEX datasets_live_slug ON dataset.datasets (slug) WHERE deleted_at_ms IS NULL;
CREATE INDEX datasets_newest_first ON dataset.datasets (created_at_ms DESC, dataset_id DESC)
  WHERE deleted_at_ms IS NULL;

CREATE TABLE dataset.dataset_versions (
  dataset_id uuid NOT NULL REFERENCES dataset.datasets (dataset_id),
  version integer NOT NULL CHECK (version >= 1),
  manifest jsonb NOT NULL CHECK (jsonb_typeof(manifest) = 'object'),
  bar_interval_ms bigint NOT NULL CHECK (bar_interval_ms > 0),
  lookback_rows bigint NOT NULL CHECK (lookback_rows >= 0),
  lookahead_rows bigint NOT NULL CHECK (lookahead_rows >= 0),
  first_ohlcv_timestamp_ms bigint NOT NULL,
  last_ohlcv_timestamp_ms bigint NOT NULL,
  first_indicator_timestamp_ms bigint,
  last_indicator_timestamp_ms bigint,
  ohlcv_rows bigint NOT NULL CHECK (ohlcv_rows > 0),
  indicator_rows bigint NOT NULL CHECK (indicator_rows >= 0),
  ohlcv_measurement text NOT NULL,
  indicator_measurement text,
  content_hash text NOT NULL CHECK (content_hash ~ '^[0-9a-f]{64}$'),
  -- SHA-256s of blocks of 65,536 rows, end to end.
  ohlcv_block_hashes bytea NOT NULL CHECK (octet_length(ohlcv_block_hashes) % 32 = 0),
  indicator_block_hashes bytea NOT NULL CHECK (octet_length(indicator_block_hashes) % 32 = 0),
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (dataset_id, version),
  CHECK (first_ohlcv_timestamp_ms < last_ohlcv_timestamp_ms),
  CHECK (first_indicator_timestamp_ms <= last_indicator_timestamp_ms),
  CHECK (lookback_rows + indicator_rows + lookahead_rows = ohlcv_rows),
  CHECK ((indicator_rows > 0) = (indicator_measurement IS NOT NULL)),
  CHECK ((indicator_rows > 0) = (first_indicator_timestamp_ms IS NOT NULL)),
  CHECK ((indicator_rows > 0) = (last_indicator_timestamp_ms IS NOT NULL))
);
CREATE INDEX dataset_versions_newest_first
  ON dataset.dataset_versions (dataset_id, created_at_ms DESC);

-- Every import and how far it came; the names of its tables stand here before
-- the tables do, so that none can be forgotten.
CREATE TABLE dataset.imports (
  import_id uuid PRIMARY KEY,
  slug text NOT NULL,
  state text NOT NULL CHECK (state IN (
    'RECEIVED', 'SPOOLED', 'LOADING', 'VERIFIED', 'PUBLISHED', 'CLEANED', 'REJECTED', 'ABANDONED'
  )),
  error text NOT NULL DEFAULT '',
  version integer CHECK (version >= 1),
  attempt integer CHECK (attempt >= 1),
  ohlcv_measurement text,
  indicator_measurement text,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  CHECK (state IN ('RECEIVED', 'SPOOLED', 'REJECTED', 'ABANDONED') OR ohlcv_measurement IS NOT NULL),
  UNIQUE (slug, version, attempt)
);
CREATE INDEX imports_newest_first ON dataset.imports (created_at_ms DESC, import_id DESC);
CREATE INDEX imports_in_flight ON dataset.imports (state)
  WHERE state IN ('RECEIVED', 'SPOOLED', 'LOADING', 'VERIFIED');

CREATE TABLE dataset.idempotency (
  key text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 128),
  body_sha256 text NOT NULL CHECK (body_sha256 ~ '^[0-9a-f]{64}$'),
  dataset_id uuid NOT NULL,
  version integer NOT NULL,
  report jsonb NOT NULL,
  created_at_ms bigint NOT NULL,
  FOREIGN KEY (dataset_id, version) REFERENCES dataset.dataset_versions (dataset_id, version)
);
CREATE INDEX idempotency_oldest_first ON dataset.idempotency (created_at_ms);

CREATE TABLE dataset.pins (
  holder text NOT NULL CHECK (length(holder) BETWEEN 1 AND 128),
  dataset_id uuid NOT NULL,
  version integer NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (holder, dataset_id, version),
  FOREIGN KEY (dataset_id, version) REFERENCES dataset.dataset_versions (dataset_id, version)
);
CREATE INDEX pins_by_dataset ON dataset.pins (dataset_id);

-- Datasets that are there, each with its newest version.
CREATE VIEW dataset.dataset_catalog AS
  SELECT
    d.dataset_id, d.slug, d.symbol, d.granularity, d.source, d.metadata, d.version,
    v.bar_interval_ms, v.lookback_rows, v.lookahead_rows,
    v.first_ohlcv_timestamp_ms, v.last_ohlcv_timestamp_ms,
    v.first_indicator_timestamp_ms, v.last_indicator_timestamp_ms,
    v.ohlcv_rows, v.indicator_rows, v.ohlcv_measurement, v.indicator_measurement,
    v.content_hash, v.manifest, d.created_at_ms, d.updated_at_ms
  FROM dataset.datasets d
  JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id AND v.version = d.version
  WHERE d.deleted_at_ms IS NULL;
