CREATE SCHEMA runs;
CREATE FUNCTION runs.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'The record of trials is append-only.';
END
$$;
CREATE TABLE runs.events (
    subject_id uuid NOT NULL,
    sequence bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    body jsonb NOT NULL,
    CONSTRAINT events_sequence_check CHECK ((sequence >= 1))
);
CREATE TABLE runs.idempotency (
    method text NOT NULL,
    key text NOT NULL,
    body_sha256 bytea NOT NULL,
    resource_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE runs.loose_pins (
    holder uuid NOT NULL,
    since timestamp with time zone NOT NULL
);
CREATE TABLE runs.simulation_runs (
    simulation_id uuid NOT NULL,
    run_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    dataset_slug text NOT NULL,
    dataset_version integer NOT NULL,
    settings jsonb NOT NULL,
    state text NOT NULL,
    error text NOT NULL,
    attempt integer NOT NULL,
    fruitless integer NOT NULL,
    worker_id uuid,
    lease_until timestamp with time zone,
    metrics jsonb,
    last_event bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    CONSTRAINT simulation_runs_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT simulation_runs_check CHECK (((state = 'RUNNING'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT simulation_runs_check1 CHECK (((worker_id IS NULL) = (lease_until IS NULL))),
    CONSTRAINT simulation_runs_check2 CHECK (((state = 'COMPLETED'::text) = (metrics IS NOT NULL))),
    CONSTRAINT simulation_runs_dataset_version_check CHECK ((dataset_version >= 1)),
    CONSTRAINT simulation_runs_fruitless_check CHECK ((fruitless >= 0)),
    CONSTRAINT simulation_runs_state_check CHECK ((state = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text, 'COMPLETED'::text, 'FAILED'::text, 'CANCELLED'::text])))
);
CREATE TABLE runs.walkforward_runs (
    run_id uuid NOT NULL,
    name text NOT NULL,
    dataset_id uuid NOT NULL,
    dataset_slug text NOT NULL,
    dataset_version integer NOT NULL,
    content_hash text NOT NULL,
    bar_interval_ms bigint NOT NULL,
    lookback_rows bigint NOT NULL,
    lookahead_rows bigint NOT NULL,
    indicator_rows bigint NOT NULL,
    target_column text NOT NULL,
    feature_columns text[] NOT NULL,
    horizon_bars integer NOT NULL,
    device text NOT NULL,
    walk_config jsonb NOT NULL,
    hyperparameters jsonb NOT NULL,
    signal_rules jsonb NOT NULL,
    cautions jsonb NOT NULL,
    fold_count integer NOT NULL,
    predicted_rows bigint NOT NULL,
    estimated_seconds double precision NOT NULL,
    state text NOT NULL,
    error text NOT NULL,
    attempt integer NOT NULL,
    fruitless integer NOT NULL,
    worker_id uuid,
    lease_until timestamp with time zone,
    folds_completed integer NOT NULL,
    folds_learned_nothing integer NOT NULL,
    summary_metrics jsonb,
    environment jsonb,
    last_event bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    CONSTRAINT walkforward_runs_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT walkforward_runs_bar_interval_ms_check CHECK ((bar_interval_ms > 0)),
    CONSTRAINT walkforward_runs_check CHECK (((folds_completed >= 0) AND (folds_completed <= fold_count))),
    CONSTRAINT walkforward_runs_check1 CHECK (((state = 'RUNNING'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT walkforward_runs_check2 CHECK (((worker_id IS NULL) = (lease_until IS NULL))),
    CONSTRAINT walkforward_runs_check3 CHECK (((state <> 'COMPLETED'::text) OR (folds_completed = fold_count))),
    CONSTRAINT walkforward_runs_dataset_version_check CHECK ((dataset_version >= 1)),
    CONSTRAINT walkforward_runs_feature_columns_check CHECK ((cardinality(feature_columns) > 0)),
    CONSTRAINT walkforward_runs_fold_count_check CHECK ((fold_count > 0)),
    CONSTRAINT walkforward_runs_fruitless_check CHECK ((fruitless >= 0)),
    CONSTRAINT walkforward_runs_horizon_bars_check CHECK ((horizon_bars >= 0)),
    CONSTRAINT walkforward_runs_indicator_rows_check CHECK ((indicator_rows > 0)),
    CONSTRAINT walkforward_runs_lookahead_rows_check CHECK ((lookahead_rows >= 0)),
    CONSTRAINT walkforward_runs_lookback_rows_check CHECK ((lookback_rows >= 0)),
    CONSTRAINT walkforward_runs_state_check CHECK ((state = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text, 'COMPLETED'::text, 'FAILED'::text, 'CANCELLED'::text])))
);
CREATE VIEW runs.run_catalog AS
 SELECT run_id,
    name,
    dataset_slug,
    dataset_version,
    target_column,
    cardinality(feature_columns) AS features,
    state,
    error,
    folds_completed,
    fold_count,
    folds_learned_nothing,
    created_at,
    (completed_at - started_at) AS duration,
    ( SELECT count(*) AS count
           FROM runs.simulation_runs s
          WHERE (s.run_id = r.run_id)) AS simulations
   FROM runs.walkforward_runs r;
CREATE TABLE runs.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE runs.simulation_trade_buckets (
    simulation_id uuid NOT NULL,
    side text NOT NULL,
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
    CONSTRAINT simulation_trade_buckets_side_check CHECK ((side = ANY (ARRAY['long'::text, 'short'::text])))
);
CREATE TABLE runs.trial_outcomes (
    trial_id uuid NOT NULL,
    state text NOT NULL,
    sharpe_per_period double precision,
    observations bigint NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    CONSTRAINT trial_outcomes_state_check CHECK ((state = ANY (ARRAY['COMPLETED'::text, 'FAILED'::text, 'CANCELLED'::text])))
);
CREATE TABLE runs.trials (
    trial_id uuid NOT NULL,
    kind text NOT NULL,
    dataset_slug text NOT NULL,
    target_column text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    CONSTRAINT trials_kind_check CHECK ((kind = ANY (ARRAY['RUN'::text, 'SIMULATION'::text])))
);
CREATE TABLE runs.walkforward_folds (
    run_id uuid NOT NULL,
    fold_number integer NOT NULL,
    train_start_idx bigint NOT NULL,
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
    model_sha256 text,
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
    CONSTRAINT walkforward_folds_check CHECK (((train_start_idx < fit_end_idx) AND (fit_end_idx <= validation_start_idx) AND (validation_start_idx < train_end_idx) AND (train_end_idx <= test_start_idx) AND (test_start_idx < test_end_idx))),
    CONSTRAINT walkforward_folds_check1 CHECK (((train_start_ts_ms < fit_end_ts_ms) AND (validation_start_ts_ms < train_end_ts_ms) AND (test_start_ts_ms < test_end_ts_ms))),
    CONSTRAINT walkforward_folds_check2 CHECK ((num_nulls(attempt, model_sha256, best_iteration, best_score, constant_score, learned_nothing, thresholds, metrics, importances, device, seconds, fit_rows, validation_rows, test_rows, fit_target_mean, warnings) = ANY (ARRAY[0, 16]))),
    CONSTRAINT walkforward_folds_fold_number_check CHECK ((fold_number >= 0)),
    CONSTRAINT walkforward_folds_model_sha256_check CHECK ((model_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT walkforward_folds_train_start_idx_check CHECK ((train_start_idx >= 0))
);
CREATE TABLE runs.workers (
    worker_id uuid NOT NULL,
    kind text NOT NULL,
    address text NOT NULL,
    device text NOT NULL,
    memory_bytes bigint NOT NULL,
    slots integer NOT NULL,
    versions jsonb NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    CONSTRAINT workers_kind_check CHECK ((kind = ANY (ARRAY['TRAINER'::text, 'SIMULATOR'::text]))),
    CONSTRAINT workers_memory_bytes_check CHECK ((memory_bytes >= 0)),
    CONSTRAINT workers_slots_check CHECK ((slots >= 1))
);
ALTER TABLE ONLY runs.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (subject_id, sequence);
ALTER TABLE ONLY runs.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (method, key);
ALTER TABLE ONLY runs.loose_pins
    ADD CONSTRAINT loose_pins_pkey PRIMARY KEY (holder);
ALTER TABLE ONLY runs.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY runs.simulation_runs
    ADD CONSTRAINT simulation_runs_pkey PRIMARY KEY (simulation_id);
ALTER TABLE ONLY runs.simulation_trade_buckets
    ADD CONSTRAINT simulation_trade_buckets_pkey PRIMARY KEY (simulation_id, side);
ALTER TABLE ONLY runs.trial_outcomes
    ADD CONSTRAINT trial_outcomes_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY runs.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY runs.walkforward_folds
    ADD CONSTRAINT walkforward_folds_pkey PRIMARY KEY (run_id, fold_number);
ALTER TABLE ONLY runs.walkforward_runs
    ADD CONSTRAINT walkforward_runs_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY runs.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker_id);
CREATE INDEX simulation_runs_by_dataset ON runs.simulation_runs USING btree (dataset_id, created_at DESC);
CREATE INDEX simulation_runs_by_run ON runs.simulation_runs USING btree (run_id, created_at DESC);
CREATE INDEX simulation_runs_by_time ON runs.simulation_runs USING btree (created_at DESC, simulation_id DESC);
CREATE INDEX simulation_runs_queue ON runs.simulation_runs USING btree (created_at) WHERE (state = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text]));
CREATE INDEX trials_by_target ON runs.trials USING btree (dataset_slug, target_column);
CREATE INDEX walkforward_runs_by_dataset ON runs.walkforward_runs USING btree (dataset_id, created_at DESC);
CREATE INDEX walkforward_runs_by_time ON runs.walkforward_runs USING btree (created_at DESC, run_id DESC);
CREATE INDEX walkforward_runs_queue ON runs.walkforward_runs USING btree (created_at) WHERE (state = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text]));
CREATE TRIGGER trial_outcomes_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON runs.trial_outcomes FOR EACH STATEMENT EXECUTE FUNCTION runs.refuse_change();
CREATE TRIGGER trials_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON runs.trials FOR EACH STATEMENT EXECUTE FUNCTION runs.refuse_change();
ALTER TABLE ONLY runs.simulation_runs
    ADD CONSTRAINT simulation_runs_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs.walkforward_runs(run_id) ON DELETE CASCADE;
ALTER TABLE ONLY runs.simulation_trade_buckets
    ADD CONSTRAINT simulation_trade_buckets_simulation_id_fkey FOREIGN KEY (simulation_id) REFERENCES runs.simulation_runs(simulation_id) ON DELETE CASCADE;
ALTER TABLE ONLY runs.trial_outcomes
    ADD CONSTRAINT trial_outcomes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES runs.trials(trial_id);
ALTER TABLE ONLY runs.walkforward_folds
    ADD CONSTRAINT walkforward_folds_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs.walkforward_runs(run_id) ON DELETE CASCADE;
