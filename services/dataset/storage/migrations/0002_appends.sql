-- Appends: staged and verified like an import, then an intent from which there is only forward.
-- And whose each attempt is, so that what a process lost can be told from what it still does.
ALTER TABLE dataset.imports
  ADD COLUMN kind text NOT NULL DEFAULT 'IMPORT' CHECK (kind IN ('IMPORT', 'APPEND', 'ADOPTION')),
  -- The process that runs it; those of before are settled at the next start.
  ADD COLUMN owner uuid,
  -- Of an append while it is MERGING: all that its publishing transaction is to make true, so
  -- that whoever comes later can finish it without the upload.
  ADD COLUMN intent jsonb CHECK (jsonb_typeof(intent) = 'object'),
  -- Stays when the intent is gone: rows of such an append may lie beyond the version before, for
  -- ever where a store cannot delete them, even if it was overtaken.
  ADD COLUMN had_intent boolean NOT NULL DEFAULT false CHECK (had_intent OR intent IS NULL),
  DROP CONSTRAINT imports_state_check,
  ADD CONSTRAINT imports_state_check CHECK (state IN (
    'RECEIVED', 'SPOOLED', 'LOADING', 'VERIFIED', 'MERGING', 'PUBLISHED', 'CLEANED', 'REJECTED',
    'ABANDONED'
  )),
  ADD CONSTRAINT imports_merging_has_intent CHECK ((state = 'MERGING') = (intent IS NOT NULL));
ALTER TABLE dataset.imports ALTER COLUMN kind DROP DEFAULT;

-- A slug has one dataset at a time, whose tables grow by one append at a time.
CREATE UNIQUE INDEX imports_one_merging ON dataset.imports (slug) WHERE state = 'MERGING';

DROP INDEX dataset.imports_in_flight;
CREATE INDEX imports_unfinished ON dataset.imports (state)
  WHERE state NOT IN ('CLEANED', 'REJECTED', 'ABANDONED');

-- The key of an append is taken with its intent: what cannot be undone must not be refused later.
ALTER TABLE dataset.idempotency
  ALTER COLUMN version DROP NOT NULL,
  -- The append that is MERGING and gives the version when it is published.
  ADD COLUMN promised_by uuid UNIQUE REFERENCES dataset.imports (import_id),
  ADD CONSTRAINT idempotency_given_or_promised CHECK ((version IS NULL) = (promised_by IS NOT NULL));
