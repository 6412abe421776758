CREATE SCHEMA dataset;
CREATE TABLE dataset.dataset_versions (
    dataset_id uuid NOT NULL,
    version integer NOT NULL,
    manifest jsonb NOT NULL,
    bar_interval_ms bigint NOT NULL,
    lookback_rows bigint NOT NULL,
    lookahead_rows bigint NOT NULL,
    first_ohlcv_timestamp_ms bigint NOT NULL,
    last_ohlcv_timestamp_ms bigint NOT NULL,
    first_indicator_timestamp_ms bigint,
    last_indicator_timestamp_ms bigint,
    ohlcv_rows bigint NOT NULL,
    indicator_rows bigint NOT NULL,
    ohlcv_measurement text NOT NULL,
    indicator_measurement text,
    content_hash text NOT NULL,
    ohlcv_block_hashes bytea NOT NULL,
    indicator_block_hashes bytea NOT NULL,
    created_at_ms bigint NOT NULL,
    CONSTRAINT dataset_versions_bar_interval_ms_check CHECK ((bar_interval_ms > 0)),
    CONSTRAINT dataset_versions_check CHECK ((first_ohlcv_timestamp_ms < last_ohlcv_timestamp_ms)),
    CONSTRAINT dataset_versions_check1 CHECK ((first_indicator_timestamp_ms <= last_indicator_timestamp_ms)),
    CONSTRAINT dataset_versions_check2 CHECK ((((lookback_rows + indicator_rows) + lookahead_rows) = ohlcv_rows)),
    CONSTRAINT dataset_versions_check3 CHECK (((indicator_rows > 0) = (indicator_measurement IS NOT NULL))),
    CONSTRAINT dataset_versions_check4 CHECK (((indicator_rows > 0) = (first_indicator_timestamp_ms IS NOT NULL))),
    CONSTRAINT dataset_versions_check5 CHECK (((indicator_rows > 0) = (last_indicator_timestamp_ms IS NOT NULL))),
    CONSTRAINT dataset_versions_content_hash_check CHECK ((content_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT dataset_versions_indicator_block_hashes_check CHECK (((octet_length(indicator_block_hashes) % 32) = 0)),
    CONSTRAINT dataset_versions_indicator_rows_check CHECK ((indicator_rows >= 0)),
    CONSTRAINT dataset_versions_lookahead_rows_check CHECK ((lookahead_rows >= 0)),
    CONSTRAINT dataset_versions_lookback_rows_check CHECK ((lookback_rows >= 0)),
    CONSTRAINT dataset_versions_manifest_check CHECK ((jsonb_typeof(manifest) = 'object'::text)),
    CONSTRAINT dataset_versions_ohlcv_block_hashes_check CHECK (((octet_length(ohlcv_block_hashes) % 32) = 0)),
    CONSTRAINT dataset_versions_ohlcv_rows_check CHECK ((ohlcv_rows > 0)),
    CONSTRAINT dataset_versions_version_check CHECK ((version >= 1))
);
CREATE TABLE dataset.datasets (
    dataset_id uuid NOT NULL,
    slug text NOT NULL,
    symbol text NOT NULL,
    granularity text NOT NULL,
    source text NOT NULL,
    metadata jsonb NOT NULL,
    version integer NOT NULL,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    deleted_at_ms bigint,
    CONSTRAINT datasets_check CHECK ((updated_at_ms >= created_at_ms)),
    CONSTRAINT datasets_check1 CHECK ((deleted_at_ms >= created_at_ms)),
    CONSTRAINT datasets_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT datasets_version_check CHECK ((version >= 1))
);
CREATE VIEW dataset.dataset_catalog AS
 SELECT d.dataset_id,
    d.slug,
    d.symbol,
    d.granularity,
    d.source,
    d.metadata,
    d.version,
    v.bar_interval_ms,
    v.lookback_rows,
    v.lookahead_rows,
    v.first_ohlcv_timestamp_ms,
    v.last_ohlcv_timestamp_ms,
    v.first_indicator_timestamp_ms,
    v.last_indicator_timestamp_ms,
    v.ohlcv_rows,
    v.indicator_rows,
    v.ohlcv_measurement,
    v.indicator_measurement,
    v.content_hash,
    v.manifest,
    d.created_at_ms,
    d.updated_at_ms
   FROM (dataset.datasets d
     JOIN dataset.dataset_versions v ON (((v.dataset_id = d.dataset_id) AND (v.version = d.version))))
  WHERE (d.deleted_at_ms IS NULL);
CREATE TABLE dataset.event_counter (
    is_only boolean DEFAULT true NOT NULL,
    last_sequence bigint NOT NULL,
    forgotten_sequence bigint NOT NULL,
    CONSTRAINT event_counter_check CHECK ((last_sequence >= forgotten_sequence)),
    CONSTRAINT event_counter_forgotten_sequence_check CHECK ((forgotten_sequence >= 0)),
    CONSTRAINT event_counter_is_only_check CHECK (is_only)
);
CREATE TABLE dataset.events (
    sequence bigint NOT NULL,
    kind text NOT NULL,
    dataset_id uuid NOT NULL,
    slug text NOT NULL,
    version integer NOT NULL,
    at_ms bigint NOT NULL,
    CONSTRAINT events_kind_check CHECK ((kind = ANY (ARRAY['PUBLISHED'::text, 'UPDATED'::text, 'DELETED'::text]))),
    CONSTRAINT events_sequence_check CHECK ((sequence >= 1)),
    CONSTRAINT events_version_check CHECK ((version >= 1))
);
CREATE TABLE dataset.idempotency (
    key text NOT NULL,
    body_sha256 text NOT NULL,
    dataset_id uuid NOT NULL,
    version integer,
    report jsonb NOT NULL,
    created_at_ms bigint NOT NULL,
    promised_by uuid,
    CONSTRAINT idempotency_body_sha256_check CHECK ((body_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT idempotency_given_or_promised CHECK (((version IS NULL) = (promised_by IS NOT NULL))),
    CONSTRAINT idempotency_key_check CHECK (((length(key) >= 1) AND (length(key) <= 128)))
);
CREATE TABLE dataset.imports (
    import_id uuid NOT NULL,
    slug text NOT NULL,
    state text NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    version integer,
    attempt integer,
    ohlcv_measurement text,
    indicator_measurement text,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    kind text NOT NULL,
    owner uuid,
    intent jsonb,
    had_intent boolean DEFAULT false NOT NULL,
    CONSTRAINT imports_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT imports_check CHECK (((state = ANY (ARRAY['RECEIVED'::text, 'SPOOLED'::text, 'REJECTED'::text, 'ABANDONED'::text])) OR (ohlcv_measurement IS NOT NULL))),
    CONSTRAINT imports_check1 CHECK ((had_intent OR (intent IS NULL))),
    CONSTRAINT imports_intent_check CHECK ((jsonb_typeof(intent) = 'object'::text)),
    CONSTRAINT imports_kind_check CHECK ((kind = ANY (ARRAY['IMPORT'::text, 'APPEND'::text, 'ADOPTION'::text]))),
    CONSTRAINT imports_merging_has_intent CHECK (((state = 'MERGING'::text) = (intent IS NOT NULL))),
    CONSTRAINT imports_state_check CHECK ((state = ANY (ARRAY['RECEIVED'::text, 'SPOOLED'::text, 'LOADING'::text, 'VERIFIED'::text, 'MERGING'::text, 'PUBLISHED'::text, 'CLEANED'::text, 'REJECTED'::text, 'ABANDONED'::text]))),
    CONSTRAINT imports_version_check CHECK ((version >= 1))
);
CREATE TABLE dataset.pins (
    holder text NOT NULL,
    dataset_id uuid NOT NULL,
    version integer NOT NULL,
    created_at_ms bigint NOT NULL,
    CONSTRAINT pins_holder_check CHECK (((length(holder) >= 1) AND (length(holder) <= 128)))
);
CREATE TABLE dataset.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE dataset.slugs (
    slug text NOT NULL,
    last_version integer DEFAULT 0 NOT NULL,
    last_attempt integer DEFAULT 0 NOT NULL,
    CONSTRAINT slugs_last_attempt_check CHECK ((last_attempt >= 0)),
    CONSTRAINT slugs_last_version_check CHECK ((last_version >= 0)),
    CONSTRAINT slugs_slug_check CHECK ((slug ~ '^[a-z][a-z0-9_]{0,47}$'::text))
);
ALTER TABLE ONLY dataset.dataset_versions
    ADD CONSTRAINT dataset_versions_pkey PRIMARY KEY (dataset_id, version);
ALTER TABLE ONLY dataset.datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (dataset_id);
ALTER TABLE ONLY dataset.event_counter
    ADD CONSTRAINT event_counter_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY dataset.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY dataset.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (key);
ALTER TABLE ONLY dataset.idempotency
    ADD CONSTRAINT idempotency_promised_by_key UNIQUE (promised_by);
ALTER TABLE ONLY dataset.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (import_id);
ALTER TABLE ONLY dataset.imports
    ADD CONSTRAINT imports_slug_version_attempt_key UNIQUE (slug, version, attempt);
ALTER TABLE ONLY dataset.pins
    ADD CONSTRAINT pins_pkey PRIMARY KEY (holder, dataset_id, version);
ALTER TABLE ONLY dataset.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY dataset.slugs
    ADD CONSTRAINT slugs_pkey PRIMARY KEY (slug);
CREATE INDEX dataset_versions_newest_first ON dataset.dataset_versions USING btree (dataset_id, created_at_ms DESC);
CREATE UNIQUE INDEX datasets_live_slug ON dataset.datasets USING btree (slug) WHERE (deleted_at_ms IS NULL);
CREATE INDEX datasets_newest_first ON dataset.datasets USING btree (created_at_ms DESC, dataset_id DESC) WHERE (deleted_at_ms IS NULL);
CREATE INDEX events_by_dataset ON dataset.events USING btree (dataset_id, sequence);
CREATE INDEX events_by_slug ON dataset.events USING btree (slug, sequence);
CREATE INDEX events_oldest_first ON dataset.events USING btree (at_ms);
CREATE INDEX idempotency_oldest_first ON dataset.idempotency USING btree (created_at_ms);
CREATE INDEX imports_newest_first ON dataset.imports USING btree (created_at_ms DESC, import_id DESC);
CREATE UNIQUE INDEX imports_one_merging ON dataset.imports USING btree (slug) WHERE (state = 'MERGING'::text);
CREATE INDEX imports_unfinished ON dataset.imports USING btree (state) WHERE (state <> ALL (ARRAY['CLEANED'::text, 'REJECTED'::text, 'ABANDONED'::text]));
CREATE INDEX pins_by_dataset ON dataset.pins USING btree (dataset_id);
ALTER TABLE ONLY dataset.dataset_versions
    ADD CONSTRAINT dataset_versions_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES dataset.datasets(dataset_id);
ALTER TABLE ONLY dataset.datasets
    ADD CONSTRAINT datasets_slug_fkey FOREIGN KEY (slug) REFERENCES dataset.slugs(slug);
ALTER TABLE ONLY dataset.events
    ADD CONSTRAINT events_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES dataset.datasets(dataset_id);
ALTER TABLE ONLY dataset.idempotency
    ADD CONSTRAINT idempotency_dataset_id_version_fkey FOREIGN KEY (dataset_id, version) REFERENCES dataset.dataset_versions(dataset_id, version);
ALTER TABLE ONLY dataset.idempotency
    ADD CONSTRAINT idempotency_promised_by_fkey FOREIGN KEY (promised_by) REFERENCES dataset.imports(import_id);
ALTER TABLE ONLY dataset.pins
    ADD CONSTRAINT pins_dataset_id_version_fkey FOREIGN KEY (dataset_id, version) REFERENCES dataset.dataset_versions(dataset_id, version);
