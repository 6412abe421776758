-- What was computed, and the queue of what is to be. Indices are indicator rows, times UTC;
-- every range is half-open. A row of walkforward_runs or simulation_runs is its own queue entry.

CREATE TABLE runs.workers (
  worker_id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('TRAINER', 'SIMULATOR')),
  address text NOT NULL,
  device text NOT NULL,
  memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0),
  slots integer NOT NULL CHECK (slots >= 1),
  versions jsonb NOT NULL,
  last_seen timestamptz NOT NULL
);

CREATE TABLE runs.walkforward_runs (
  run_id uuid PRIMARY KEY,
  name text NOT NULL,
  dataset_id uuid NOT NULL,
  dataset_slug text NOT NULL,
  dataset_version integer NOT NULL CHECK (dataset_version >= 1),
  content_hash text NOT NULL,
  bar_interval_ms bigint NOT NULL CHECK (bar_interval_ms > 0),
  lookback_rows bigint NOT NULL CHECK (lookback_rows >= 0),
  lookahead_rows bigint NOT NULL CHECK (lookahead_rows >= 0),
  indicator_rows bigint NOT NULL CHECK (indicator_rows > 0),
  target_column text NOT NULL,
  feature_columns text[] NOT NULL CHECK (cardinality(feature_columns) > 0),
  horizon_bars integer NOT NULL CHECK (horizon_bars >= 0),
  device text NOT NULL,
  walk_config jsonb NOT NULL,
  hyperparameters jsonb NOT NULL,
  signal_rules jsonb NOT NULL,
  cautions jsonb NOT NULL,
  fold_count integer NOT NULL CHECK (fold_count > 0),
  predicted_rows bigint NOT NULL,
  estimated_seconds double precision NOT NULL,
  state text NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  error text NOT NULL,
  attempt integer NOT NULL CHECK (attempt >= 0),
  fruitless integer NOT NULL CHECK (fruitless >= 0),
  worker_id uuid,
  lease_until timestamptz,
  folds_completed integer NOT NULL,
  folds_learned_nothing integer NOT NULL,
  summary_metrics jsonb,
  environment jsonb,
  last_event bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  completed_at timestamptz,
  CHECK (folds_completed BETWEEN 0 AND fold_count),
  CHECK ((state = 'RUNNING') = (lease_until IS NOT NULL)),
  CHECK ((worker_id IS NULL) = (lease_until IS NULL)),
  CHECK (state <> 'COMPLETED' OR folds_completed = fold_count)
);

CREATE INDEX walkforward_runs_by_dataset ON runs.walkforward_runs (dataset_id, created_at DESC);
CREATE INDEX walkforward_runs_by_time ON runs.walkforward_runs (created_at DESC, run_id DESC);
CREATE INDEX walkforward_runs_queue ON runs.walkforward_runs (created_at)
  WHERE state IN ('QUEUED', 'RUNNING');

CREATE TABLE runs.walkforward_folds (
  run_id uuid NOT NULL REFERENCES runs.walkforward_runs ON DELETE CASCADE,
  fold_number integer NOT NULL CHECK (fold_number >= 0),
  train_start_idx bigint NOT NULL CHECK (train_start_idx >= 0),
  fit_end_idx bigint NOT NULL,
  validation_start_idx bigint NOT NULL,
  train_end_idx bigint NOT NULL,
  test_start_idx bigint NOT NULL,
  test_end_idx bigint NOT NULL,
  train_start_ts_ms bigint NOT NULL,
  fit_end_ts_ms bigint NOT NULL,
  validation_start_ts_ms bigint NOT NULL,
  train_end_ts_ms bigint NOT NULL,
  test_start_ts_ms bigint NOT NULL,
  test_end_ts_ms bigint NOT NULL,
  attempt integer,
  model_sha256 text CHECK (model_sha256 ~ '^[0-9a-f]{64}$'),
  best_iteration integer,
  best_score double precision,
  constant_score double precision,
  learned_nothing boolean,
  thresholds jsonb,
  metrics jsonb,
  importances jsonb,
  device text,
  seconds double precision,
  fit_rows bigint,
  validation_rows bigint,
  test_rows bigint,
  fit_target_mean double precision,
  warnings jsonb,
  PRIMARY KEY (run_id, fold_number),
  CHECK (train_start_idx < fit_end_idx AND fit_end_idx <= validation_start_idx
    AND validation_start_idx < train_end_idx AND train_end_idx <= test_start_idx
    AND test_start_idx < test_end_idx),
  CHECK (train_start_ts_ms < fit_end_ts_ms AND validation_start_ts_ms < train_end_ts_ms
    AND test_start_ts_ms < test_end_ts_ms),
  CHECK (num_nulls(attempt, model_sha256, best_iteration, best_score, constant_score,
    learned_nothing, thresholds, metrics, importances, device, seconds, fit_rows,
    validation_rows, test_rows, fit_target_mean, warnings) IN (0, 16))
);

CREATE TABLE runs.simulation_runs (
  simulation_id uuid PRIMARY KEY,
  run_id uuid NOT NULL REFERENCES runs.walkforward_runs ON DELETE CASCADE,
  dataset_id uuid NOT NULL,
  dataset_slug text NOT NULL,
  dataset_version integer NOT NULL CHECK (dataset_version >= 1),
  settings jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  error text NOT NULL,
  attempt integer NOT NULL CHECK (attempt >= 0),
  fruitless integer NOT NULL CHECK (fruitless >= 0),
  worker_id uuid,
  lease_until timestamptz,
  metrics jsonb,
  last_event bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  completed_at timestamptz,
  CHECK ((state = 'RUNNING') = (lease_until IS NOT NULL)),
  CHECK ((worker_id IS NULL) = (lease_until IS NULL)),
  CHECK ((state = 'COMPLETED') = (metrics IS NOT NULL))
);

CREATE INDEX simulation_runs_by_run ON runs.simulation_runs (run_id, created_at DESC);
CREATE INDEX simulation_runs_by_dataset ON runs.simulation_runs (dataset_id, created_at DESC);
CREATE INDEX simulation_runs_by_time ON runs.simulation_runs (created_at DESC, simulation_id DESC);
CREATE INDEX simulation_runs_queue ON runs.simulation_runs (created_at)
  WHERE state IN ('QUEUED', 'RUNNING');

CREATE TABLE runs.simulation_trade_buckets (
  simulation_id uuid NOT NULL REFERENCES runs.simulation_runs ON DELETE CASCADE,
  side text NOT NULL CHECK (side IN ('long', 'short')),
  trades bigint NOT NULL,
  wins bigint NOT NULL,
  losses bigint NOT NULL,
  pnl double precision NOT NULL,
  mean_return double precision NOT NULL,
  median_return double precision NOT NULL,
  best_return double precision NOT NULL,
  worst_return double precision NOT NULL,
  mean_bars_held double precision NOT NULL,
  mean_mae double precision NOT NULL,
  mean_mfe double precision NOT NULL,
  exit_reasons jsonb NOT NULL,
  PRIMARY KEY (simulation_id, side)
);

-- Of runs and of simulations; numbered under the row lock of the one it belongs to.
CREATE TABLE runs.events (
  subject_id uuid NOT NULL,
  sequence bigint NOT NULL CHECK (sequence >= 1),
  at timestamptz NOT NULL,
  kind text NOT NULL,
  body jsonb NOT NULL,
  PRIMARY KEY (subject_id, sequence)
);

CREATE TABLE runs.idempotency (
  method text NOT NULL,
  key text NOT NULL,
  body_sha256 bytea NOT NULL,
  resource_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (method, key)
);

-- Pins of dataset versions that no run stands behind, yet or any more: to be given back.
CREATE TABLE runs.loose_pins (
  holder uuid PRIMARY KEY,
  since timestamptz NOT NULL
);

-- The record of everything tried on a dataset and target. It outlives runs and datasets, since
-- every try makes the best of them look better.
CREATE TABLE runs.trials (
  trial_id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('RUN', 'SIMULATION')),
  dataset_slug text NOT NULL,
  target_column text NOT NULL,
  started_at timestamptz NOT NULL
);

CREATE INDEX trials_by_target ON runs.trials (dataset_slug, target_column);

CREATE TABLE runs.trial_outcomes (
  trial_id uuid PRIMARY KEY REFERENCES runs.trials,
  state text NOT NULL CHECK (state IN ('COMPLETED', 'FAILED', 'CANCELLED')),
  sharpe_per_period double precision,
  observations bigint NOT NULL,
  ended_at timestamptz NOT NULL
);

CREATE FUNCTION runs.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The record of trials is append-only.';
END
$$;

CREATE TRIGGER trials_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON runs.trials
  FOR EACH STATEMENT EXECUTE FUNCTION runs.refuse_change();
CREATE TRIGGER trial_outcomes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON runs.trial_outcomes
  FOR EACH STATEMENT EXECUTE FUNCTION runs.refuse_change();

CREATE VIEW runs.run_catalog AS
SELECT r.run_id, r.name, r.dataset_slug, r.dataset_version, r.target_column,
  cardinality(r.feature_columns) AS features, r.state, r.error, r.folds_completed, r.fold_count,
  r.folds_learned_nothing, r.created_at, r.completed_at - r.started_at AS duration,
  (SELECT count(*) FROM runs.simulation_runs s WHERE s.run_id = r.run_id) AS simulations
FROM runs.walkforward_runs r;
