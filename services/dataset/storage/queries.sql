-- Statements of the catalogue, one name each; columns are always enumerated.

-- name: find_dataset
SELECT d.dataset_id, d.slug, d.symbol, d.granularity, d.source, d.metadata, v.version,
  d.created_at_ms, d.updated_at_ms
FROM dataset.datasets d
JOIN dataset.dataset_versions v
  ON v.dataset_id = d.dataset_id AND v.version = coalesce(%(version)s::integer, d.version)
WHERE (d.slug = %(slug)s::text OR d.dataset_id = %(dataset_id)s::uuid)
  AND d.deleted_at_ms IS NULL;

-- name: find_published
SELECT d.dataset_id, d.slug, d.symbol, d.granularity, d.source, d.metadata, v.version,
  d.created_at_ms, v.created_at_ms AS updated_at_ms
FROM dataset.datasets d
JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id
WHERE d.dataset_id = %(dataset_id)s AND v.version = %(version)s;

-- name: lock_dataset
SELECT dataset_id, slug, version
FROM dataset.datasets
WHERE (slug = %(slug)s::text OR dataset_id = %(dataset_id)s::uuid) AND deleted_at_ms IS NULL
FOR UPDATE;

-- name: find_manifest
SELECT manifest::text AS manifest
FROM dataset.dataset_versions
WHERE dataset_id = %(dataset_id)s AND version = %(version)s;

-- name: list_datasets
SELECT dataset_id, slug, symbol, granularity, source, metadata, version,
  created_at_ms, updated_at_ms
FROM dataset.dataset_catalog
WHERE (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(granularity)s::text IS NULL OR granularity = %(granularity)s)
  AND (%(pattern)s::text IS NULL
    OR slug ILIKE %(pattern)s OR symbol ILIKE %(pattern)s OR source ILIKE %(pattern)s)
  AND (%(after_ms)s::bigint IS NULL
    OR (created_at_ms, dataset_id) < (%(after_ms)s, %(after_id)s::uuid))
ORDER BY created_at_ms DESC, dataset_id DESC
OFFSET %(skip)s LIMIT %(limit)s;

-- name: list_versions
SELECT version FROM dataset.dataset_versions WHERE dataset_id = %(dataset_id)s ORDER BY version;

-- name: insert_pin
INSERT INTO dataset.pins (holder, dataset_id, version, created_at_ms)
VALUES (%(holder)s, %(dataset_id)s, %(version)s, %(now_ms)s)
ON CONFLICT DO NOTHING;

-- name: delete_pins_of_holder
DELETE FROM dataset.pins WHERE holder = %(holder)s;

-- name: delete_pins_of_dataset
DELETE FROM dataset.pins WHERE dataset_id = %(dataset_id)s;

-- name: list_pins
SELECT holder, version FROM dataset.pins WHERE dataset_id = %(dataset_id)s ORDER BY holder, version;

-- name: bury_dataset
UPDATE dataset.datasets
SET deleted_at_ms = greatest(created_at_ms, %(now_ms)s)
WHERE dataset_id = %(dataset_id)s
RETURNING slug;

-- name: tables_of_dataset
SELECT ohlcv_measurement, indicator_measurement
FROM dataset.dataset_versions
WHERE dataset_id = %(dataset_id)s;

-- name: watermarks_of_tables
SELECT t.name AS table, max(t.last_ms) + 1 AS below_ms
FROM dataset.datasets d
JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id
CROSS JOIN LATERAL (
  VALUES
    (v.ohlcv_measurement, v.last_ohlcv_timestamp_ms),
    (v.indicator_measurement, v.last_indicator_timestamp_ms)
) AS t (name, last_ms)
WHERE d.deleted_at_ms IS NULL AND t.name = ANY(%(tables)s)
GROUP BY t.name;

-- name: tables_of_the_dead
SELECT v.ohlcv_measurement, v.indicator_measurement
FROM dataset.dataset_versions v
JOIN dataset.datasets d ON d.dataset_id = v.dataset_id
WHERE d.deleted_at_ms IS NOT NULL
  AND (v.ohlcv_measurement = ANY(%(tables)s) OR v.indicator_measurement = ANY(%(tables)s))
UNION
SELECT ohlcv_measurement, indicator_measurement
FROM dataset.imports
WHERE (ohlcv_measurement = ANY(%(tables)s) OR indicator_measurement = ANY(%(tables)s))
  AND (state IN ('REJECTED', 'ABANDONED')
    OR (kind = 'APPEND' AND state IN ('PUBLISHED', 'CLEANED')));

-- name: insert_import
INSERT INTO dataset.imports (import_id, kind, owner, slug, state, created_at_ms, updated_at_ms)
VALUES (%(import_id)s, %(kind)s, %(owner)s, %(slug)s, 'RECEIVED', %(now_ms)s, %(now_ms)s);

-- name: move_import
UPDATE dataset.imports
SET state = %(state)s, intent = NULL, updated_at_ms = %(now_ms)s
WHERE import_id = %(import_id)s AND state = ANY(%(after)s);

-- name: lock_slug
SELECT last_version FROM dataset.slugs WHERE slug = %(slug)s FOR UPDATE;

-- name: intend_import
UPDATE dataset.imports
SET state = 'MERGING', intent = %(intent)s, had_intent = true, updated_at_ms = %(now_ms)s
WHERE import_id = %(import_id)s AND state = 'VERIFIED';

-- name: list_intents
SELECT import_id, intent::text AS intent, ohlcv_measurement, indicator_measurement
FROM dataset.imports
WHERE state = 'MERGING' AND (%(slug)s::text IS NULL OR slug = %(slug)s)
ORDER BY created_at_ms, import_id;

-- name: abandon_intent
WITH abandoned AS (
  UPDATE dataset.imports
  SET state = 'ABANDONED', intent = NULL, error = %(error)s, updated_at_ms = %(now_ms)s
  WHERE slug = %(slug)s AND state = 'MERGING'
  RETURNING import_id
)
DELETE FROM dataset.idempotency
WHERE promised_by IN (SELECT import_id FROM abandoned);

-- name: find_block_hashes
SELECT ohlcv_block_hashes, indicator_block_hashes
FROM dataset.dataset_versions
WHERE dataset_id = %(dataset_id)s AND version = %(version)s;

-- name: end_import
UPDATE dataset.imports
SET state = %(state)s, error = %(error)s, updated_at_ms = %(now_ms)s
WHERE import_id = %(import_id)s AND state = ANY(%(after)s)
RETURNING ohlcv_measurement, indicator_measurement;

-- name: forget_import
DELETE FROM dataset.imports
WHERE import_id = %(import_id)s AND state IN ('RECEIVED', 'SPOOLED');

-- name: reserve_attempt
INSERT INTO dataset.slugs AS s (slug, last_attempt) VALUES (%(slug)s, 1)
ON CONFLICT (slug) DO UPDATE SET last_attempt = s.last_attempt + 1
RETURNING last_version + 1 AS version, last_attempt AS attempt;

-- name: load_import
UPDATE dataset.imports
SET state = 'LOADING', version = %(version)s, attempt = %(attempt)s,
  ohlcv_measurement = %(ohlcv_measurement)s, indicator_measurement = %(indicator_measurement)s,
  updated_at_ms = %(now_ms)s
WHERE import_id = %(import_id)s AND state = 'SPOOLED';

-- name: abandon_imports
UPDATE dataset.imports
SET state = 'ABANDONED', error = %(error)s, updated_at_ms = %(now_ms)s
WHERE state IN ('RECEIVED', 'SPOOLED', 'LOADING', 'VERIFIED')
  AND (%(import_ids)s::uuid[] IS NULL OR import_id = ANY(%(import_ids)s));

-- name: list_imports_of_owner
SELECT import_id
FROM dataset.imports
WHERE state IN ('RECEIVED', 'SPOOLED', 'LOADING', 'VERIFIED') AND owner = %(owner)s;

-- name: list_published_imports
SELECT import_id
FROM dataset.imports
WHERE state = 'PUBLISHED' AND import_id <> ALL(%(running)s);

-- name: advance_slug
UPDATE dataset.slugs
SET last_version = %(version)s, last_attempt = 0
WHERE slug = %(slug)s AND last_version = %(version)s - 1;

-- name: insert_dataset
INSERT INTO dataset.datasets (
  dataset_id, slug, symbol, granularity, source, metadata, version, created_at_ms, updated_at_ms
) VALUES (
  %(dataset_id)s, %(slug)s, %(symbol)s, %(granularity)s, %(source)s, %(metadata)s, %(version)s,
  %(now_ms)s, %(now_ms)s
) ON CONFLICT DO NOTHING;

-- name: advance_dataset
UPDATE dataset.datasets
SET symbol = coalesce(%(symbol)s, symbol), granularity = coalesce(%(granularity)s, granularity),
  source = coalesce(%(source)s, source), metadata = coalesce(%(metadata)s, metadata),
  version = %(version)s,
  updated_at_ms = greatest(created_at_ms, %(now_ms)s)
WHERE dataset_id = %(dataset_id)s AND deleted_at_ms IS NULL;

-- name: insert_version
INSERT INTO dataset.dataset_versions (
  dataset_id, version, manifest, bar_interval_ms, lookback_rows, lookahead_rows,
  first_ohlcv_timestamp_ms, last_ohlcv_timestamp_ms,
  first_indicator_timestamp_ms, last_indicator_timestamp_ms,
  ohlcv_rows, indicator_rows, ohlcv_measurement, indicator_measurement, content_hash,
  ohlcv_block_hashes, indicator_block_hashes, created_at_ms
) VALUES (
  %(dataset_id)s, %(version)s, %(manifest)s, %(bar_interval_ms)s, %(lookback_rows)s,
  %(lookahead_rows)s, %(first_ohlcv_timestamp_ms)s, %(last_ohlcv_timestamp_ms)s,
  %(first_indicator_timestamp_ms)s, %(last_indicator_timestamp_ms)s,
  %(ohlcv_rows)s, %(indicator_rows)s, %(ohlcv_measurement)s, %(indicator_measurement)s,
  %(content_hash)s, %(ohlcv_block_hashes)s, %(indicator_block_hashes)s, %(now_ms)s
);

-- name: find_answer
SELECT i.body_sha256, i.dataset_id, i.version, i.report, d.slug, d.deleted_at_ms
FROM dataset.idempotency i
JOIN dataset.datasets d ON d.dataset_id = i.dataset_id
WHERE i.key = %(key)s AND (i.version IS NULL OR i.created_at_ms > %(oldest_ms)s);

-- name: insert_answer
INSERT INTO dataset.idempotency AS i (
  key, body_sha256, dataset_id, version, promised_by, report, created_at_ms
) VALUES (
  %(key)s, %(body_sha256)s, %(dataset_id)s, %(version)s, %(promised_by)s, %(report)s, %(now_ms)s
)
ON CONFLICT (key) DO UPDATE
SET body_sha256 = excluded.body_sha256, dataset_id = excluded.dataset_id,
  version = excluded.version, promised_by = excluded.promised_by, report = excluded.report,
  created_at_ms = excluded.created_at_ms
WHERE i.version IS NOT NULL AND i.created_at_ms <= %(oldest_ms)s;

-- name: keep_promise
UPDATE dataset.idempotency
SET version = %(version)s, promised_by = NULL, created_at_ms = %(now_ms)s
WHERE promised_by = %(promised_by)s;

-- name: forget_answers
DELETE FROM dataset.idempotency WHERE version IS NOT NULL AND created_at_ms <= %(oldest_ms)s;

-- name: list_versions_before
SELECT version
FROM dataset.dataset_versions
WHERE dataset_id = %(dataset_id)s AND (%(before)s::integer IS NULL OR version < %(before)s)
ORDER BY version DESC
LIMIT %(limit)s;

-- name: list_imports
SELECT import_id, kind, slug, state, error, version, created_at_ms, updated_at_ms
FROM dataset.imports
WHERE (%(slug)s::text IS NULL OR slug = %(slug)s)
  AND (%(state)s::text IS NULL OR state = %(state)s
    OR %(state)s = 'PUBLISHED' AND state = 'CLEANED')
  AND (%(after_ms)s::bigint IS NULL
    OR (created_at_ms, import_id) < (%(after_ms)s, %(after_id)s::uuid))
ORDER BY created_at_ms DESC, import_id DESC
LIMIT %(limit)s;

-- name: find_import
SELECT import_id, kind, slug, state, error, version, created_at_ms, updated_at_ms
FROM dataset.imports
WHERE import_id = %(import_id)s;

-- name: update_dataset
UPDATE dataset.datasets
SET symbol = %(symbol)s, granularity = %(granularity)s, source = %(source)s,
  metadata = %(metadata)s, updated_at_ms = greatest(created_at_ms, %(now_ms)s)
WHERE dataset_id = %(dataset_id)s AND deleted_at_ms IS NULL;

-- name: number_event
UPDATE dataset.event_counter SET last_sequence = last_sequence + 1
RETURNING last_sequence AS sequence;

-- name: insert_event
INSERT INTO dataset.events (sequence, kind, dataset_id, slug, version, at_ms)
SELECT %(sequence)s, %(kind)s, dataset_id, slug, version, %(now_ms)s
FROM dataset.datasets
WHERE dataset_id = %(dataset_id)s;

-- name: forget_events
WITH gone AS (
  DELETE FROM dataset.events WHERE at_ms <= %(oldest_event_ms)s RETURNING sequence
)
UPDATE dataset.event_counter
SET forgotten_sequence = greatest(forgotten_sequence, (SELECT max(sequence) FROM gone))
WHERE EXISTS (SELECT FROM gone);

-- name: event_counter
SELECT last_sequence, forgotten_sequence FROM dataset.event_counter;

-- name: events_after
SELECT c.last_sequence, c.forgotten_sequence,
  e.sequence, e.kind, e.dataset_id, e.slug, e.version, e.at_ms
FROM dataset.event_counter c
LEFT JOIN LATERAL (
  SELECT sequence, kind, dataset_id, slug, version, at_ms
  FROM dataset.events
  WHERE sequence > %(sequence)s
    AND (%(slug)s::text IS NULL OR slug = %(slug)s)
    AND (%(dataset_id)s::uuid IS NULL OR dataset_id = %(dataset_id)s)
  ORDER BY sequence
  LIMIT %(limit)s
) e ON true
ORDER BY e.sequence;

-- name: was_ever
SELECT dataset_id FROM dataset.datasets
WHERE slug = %(slug)s::text OR dataset_id = %(dataset_id)s::uuid
LIMIT 1;

-- name: version_record
SELECT d.slug, v.dataset_id, v.version, v.manifest::text AS manifest,
  v.bar_interval_ms, v.lookback_rows, v.lookahead_rows,
  v.first_ohlcv_timestamp_ms, v.last_ohlcv_timestamp_ms,
  v.first_indicator_timestamp_ms, v.last_indicator_timestamp_ms,
  v.ohlcv_rows, v.indicator_rows, v.ohlcv_measurement, v.indicator_measurement,
  v.content_hash, v.ohlcv_block_hashes, v.indicator_block_hashes
FROM dataset.datasets d
JOIN dataset.dataset_versions v
  ON v.dataset_id = d.dataset_id AND v.version = coalesce(%(version)s::integer, d.version)
WHERE (d.slug = %(slug)s::text OR d.dataset_id = %(dataset_id)s::uuid)
  AND d.deleted_at_ms IS NULL;

-- name: count_versions
SELECT count(DISTINCT d.dataset_id) AS datasets, count(*) AS versions
FROM dataset.datasets d
JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id
WHERE d.deleted_at_ms IS NULL;

-- name: newest_of_tables
SELECT DISTINCT ON (t.name)
  d.slug, v.version, t.name AS table, t.rows, t.first_ms, t.last_ms,
  EXISTS (
    SELECT FROM dataset.imports i
    WHERE i.slug = d.slug AND i.version = v.version + 1 AND i.had_intent
      AND i.state IN ('MERGING', 'ABANDONED')
  ) AS may_go_on
FROM dataset.datasets d
JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id
CROSS JOIN LATERAL (
  VALUES
    (v.ohlcv_measurement, v.ohlcv_rows, v.first_ohlcv_timestamp_ms, v.last_ohlcv_timestamp_ms),
    (v.indicator_measurement, v.indicator_rows,
      v.first_indicator_timestamp_ms, v.last_indicator_timestamp_ms)
) AS t (name, rows, first_ms, last_ms)
WHERE d.deleted_at_ms IS NULL AND t.name IS NOT NULL
ORDER BY t.name, v.version DESC;

-- name: recent_attempts
SELECT slug, state, ohlcv_measurement AS ohlcv, indicator_measurement AS indicators, updated_at_ms
FROM dataset.imports
WHERE state NOT IN ('CLEANED', 'REJECTED', 'ABANDONED') OR updated_at_ms > %(moment_ms)s;

-- name: just_buried
SELECT v.ohlcv_measurement, v.indicator_measurement
FROM dataset.datasets d
JOIN dataset.dataset_versions v ON v.dataset_id = d.dataset_id
WHERE d.deleted_at_ms > %(moment_ms)s;
