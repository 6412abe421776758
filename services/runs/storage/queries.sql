-- Statements of the run store, one name each; columns are always enumerated.

-- name: insert_run
INSERT INTO runs.walkforward_runs (run_id, name, dataset_id, dataset_slug, dataset_version,
  content_hash, bar_interval_ms, lookback_rows, lookahead_rows, indicator_rows, target_column,
  feature_columns, horizon_bars, device, walk_config, hyperparameters, signal_rules, cautions, fold_count,
  predicted_rows, estimated_seconds, state, error, attempt, fruitless, worker_id, lease_until,
  folds_completed, folds_learned_nothing, summary_metrics, environment, created_at, started_at,
  completed_at)
VALUES (%(run_id)s, %(name)s, %(dataset_id)s, %(dataset_slug)s, %(dataset_version)s,
  %(content_hash)s, %(bar_interval_ms)s, %(lookback_rows)s, %(lookahead_rows)s, %(indicator_rows)s,
  %(target_column)s, %(feature_columns)s, %(horizon_bars)s, %(device)s, %(walk_config)s,
  %(hyperparameters)s, %(signal_rules)s, %(cautions)s, %(fold_count)s, %(predicted_rows)s, %(estimated_seconds)s,
  %(state)s, %(error)s, %(attempt)s, %(fruitless)s, %(worker_id)s, %(lease_until)s,
  %(folds_completed)s, %(folds_learned_nothing)s, %(summary_metrics)s, %(environment)s,
  %(created_at)s, %(started_at)s, %(completed_at)s);

-- name: insert_fold
INSERT INTO runs.walkforward_folds (run_id, fold_number, train_start_idx, fit_end_idx,
  validation_start_idx, train_end_idx, test_start_idx, test_end_idx, train_start_ts_ms,
  fit_end_ts_ms, validation_start_ts_ms, train_end_ts_ms, test_start_ts_ms, test_end_ts_ms)
VALUES (%(run_id)s, %(fold_number)s, %(train_start_idx)s, %(fit_end_idx)s,
  %(validation_start_idx)s, %(train_end_idx)s, %(test_start_idx)s, %(test_end_idx)s,
  %(train_start_ts_ms)s, %(fit_end_ts_ms)s, %(validation_start_ts_ms)s, %(train_end_ts_ms)s,
  %(test_start_ts_ms)s, %(test_end_ts_ms)s);

-- name: select_run
SELECT run_id, name, dataset_id, dataset_slug, dataset_version, content_hash, bar_interval_ms,
  lookback_rows, lookahead_rows, indicator_rows, target_column, feature_columns, horizon_bars,
  device, walk_config, hyperparameters, signal_rules, cautions, fold_count, predicted_rows, estimated_seconds,
  state, error, attempt, fruitless, worker_id, lease_until, folds_completed,
  folds_learned_nothing, summary_metrics, environment, created_at, started_at, completed_at
FROM runs.walkforward_runs WHERE run_id = %(run_id)s;

-- name: lock_run
SELECT run_id FROM runs.walkforward_runs WHERE run_id = %(run_id)s FOR UPDATE;

-- name: update_run
UPDATE runs.walkforward_runs SET state = %(state)s, error = %(error)s, attempt = %(attempt)s,
  fruitless = %(fruitless)s, worker_id = %(worker_id)s, lease_until = %(lease_until)s,
  started_at = %(started_at)s, completed_at = %(completed_at)s,
  folds_completed = %(folds_completed)s, folds_learned_nothing = %(folds_learned_nothing)s,
  summary_metrics = %(summary_metrics)s, environment = %(environment)s
WHERE run_id = %(run_id)s;

-- name: find_runs
SELECT run_id, name, dataset_id, dataset_slug, dataset_version, content_hash, bar_interval_ms,
  lookback_rows, lookahead_rows, indicator_rows, target_column, feature_columns, horizon_bars,
  device, walk_config, hyperparameters, signal_rules, cautions, fold_count, predicted_rows, estimated_seconds,
  state, error, attempt, fruitless, worker_id, lease_until, folds_completed,
  folds_learned_nothing, summary_metrics, environment, created_at, started_at, completed_at
FROM runs.walkforward_runs
WHERE (%(dataset_id)s::uuid IS NULL OR dataset_id = %(dataset_id)s)
  AND (%(dataset_slug)s::text IS NULL OR dataset_slug = %(dataset_slug)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(target)s::text IS NULL OR target_column = %(target)s)
  AND (%(text)s::text IS NULL OR strpos(lower(name), lower(%(text)s)) > 0
    OR strpos(lower(dataset_slug), lower(%(text)s)) > 0)
  AND (%(after_at)s::timestamptz IS NULL
    OR (created_at, run_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY created_at DESC, run_id DESC
OFFSET %(skip)s LIMIT %(size)s;

-- name: count_uses
SELECT (SELECT count(*) FROM runs.walkforward_runs WHERE dataset_id = %(dataset_id)s) AS runs,
  (SELECT count(*) FROM runs.simulation_runs WHERE dataset_id = %(dataset_id)s) AS simulations;

-- name: delete_run
DELETE FROM runs.walkforward_runs WHERE run_id = %(run_id)s;

-- name: claimable_run
SELECT r.run_id, w.worker_id
FROM runs.walkforward_runs r JOIN runs.workers w ON r.device = '' OR r.device = w.device
WHERE r.state = 'QUEUED'
  AND w.kind = 'TRAINER' AND w.last_seen > %(seen_after)s
  AND w.slots > (SELECT count(*) FROM runs.walkforward_runs b
    WHERE b.worker_id = w.worker_id AND b.lease_until > %(now)s)
ORDER BY r.created_at, w.last_seen DESC
LIMIT 1
FOR UPDATE OF r, w SKIP LOCKED;

-- name: abandoned_runs
SELECT run_id FROM runs.walkforward_runs WHERE state = 'RUNNING' AND lease_until <= %(now)s;

-- name: unsummarised_runs
SELECT run_id FROM runs.walkforward_runs
WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED') AND summary_metrics IS NULL;

-- name: existing_runs
SELECT run_id FROM runs.walkforward_runs WHERE run_id = ANY(%(run_ids)s);

-- name: select_folds
SELECT fold_number, train_start_idx, fit_end_idx, validation_start_idx, train_end_idx,
  test_start_idx, test_end_idx, train_start_ts_ms, fit_end_ts_ms, validation_start_ts_ms,
  train_end_ts_ms, test_start_ts_ms, test_end_ts_ms, attempt, model_sha256, best_iteration,
  best_score, constant_score, learned_nothing, thresholds, metrics, importances, device, seconds,
  fit_rows, validation_rows, test_rows, fit_target_mean, warnings
FROM runs.walkforward_folds
WHERE run_id = %(run_id)s AND fold_number >= %(start)s
ORDER BY fold_number
LIMIT %(limit)s;

-- name: update_fold
UPDATE runs.walkforward_folds SET attempt = %(attempt)s, model_sha256 = %(model_sha256)s,
  best_iteration = %(best_iteration)s, best_score = %(best_score)s,
  constant_score = %(constant_score)s, learned_nothing = %(learned_nothing)s,
  thresholds = %(thresholds)s, metrics = %(metrics)s, importances = %(importances)s,
  device = %(device)s, seconds = %(seconds)s, fit_rows = %(fit_rows)s,
  validation_rows = %(validation_rows)s, test_rows = %(test_rows)s,
  fit_target_mean = %(fit_target_mean)s, warnings = %(warnings)s
WHERE run_id = %(run_id)s AND fold_number = %(fold_number)s AND attempt IS NULL;

-- name: insert_simulation
INSERT INTO runs.simulation_runs (simulation_id, run_id, dataset_id, dataset_slug,
  dataset_version, settings, state, error, attempt, fruitless, worker_id, lease_until, metrics,
  created_at, started_at, completed_at)
VALUES (%(simulation_id)s, %(run_id)s, %(dataset_id)s, %(dataset_slug)s, %(dataset_version)s,
  %(settings)s, %(state)s, %(error)s, %(attempt)s, %(fruitless)s, %(worker_id)s,
  %(lease_until)s, %(metrics)s, %(created_at)s, %(started_at)s, %(completed_at)s);

-- name: select_simulation
SELECT simulation_id, run_id, dataset_id, dataset_slug, dataset_version, settings, state, error,
  attempt, fruitless, worker_id, lease_until, metrics, created_at, started_at, completed_at
FROM runs.simulation_runs WHERE simulation_id = %(simulation_id)s;

-- name: lock_simulation
SELECT simulation_id FROM runs.simulation_runs
WHERE simulation_id = %(simulation_id)s FOR UPDATE;

-- name: update_simulation
UPDATE runs.simulation_runs SET state = %(state)s, error = %(error)s, attempt = %(attempt)s,
  fruitless = %(fruitless)s, worker_id = %(worker_id)s, lease_until = %(lease_until)s,
  started_at = %(started_at)s, completed_at = %(completed_at)s, metrics = %(metrics)s
WHERE simulation_id = %(simulation_id)s;

-- name: find_simulations
SELECT simulation_id, run_id, dataset_id, dataset_slug, dataset_version, settings, state, error,
  attempt, fruitless, worker_id, lease_until, metrics, created_at, started_at, completed_at
FROM runs.simulation_runs
WHERE (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
  AND (%(dataset_id)s::uuid IS NULL OR dataset_id = %(dataset_id)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(after_at)s::timestamptz IS NULL
    OR (created_at, simulation_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY created_at DESC, simulation_id DESC
OFFSET %(skip)s LIMIT %(size)s;

-- name: simulations_of_run
SELECT simulation_id FROM runs.simulation_runs WHERE run_id = %(run_id)s;

-- name: delete_simulation
DELETE FROM runs.simulation_runs WHERE simulation_id = %(simulation_id)s;

-- name: claimable_simulation
SELECT s.simulation_id, w.worker_id
FROM runs.simulation_runs s CROSS JOIN runs.workers w
WHERE s.state = 'QUEUED'
  AND w.kind = 'SIMULATOR' AND w.last_seen > %(seen_after)s
  AND w.slots > (SELECT count(*) FROM runs.simulation_runs b
    WHERE b.worker_id = w.worker_id AND b.lease_until > %(now)s)
ORDER BY s.created_at, w.last_seen DESC
LIMIT 1
FOR UPDATE OF s, w SKIP LOCKED;

-- name: abandoned_simulations
SELECT simulation_id FROM runs.simulation_runs
WHERE state = 'RUNNING' AND lease_until <= %(now)s;

-- name: current_simulations
SELECT simulation_id, attempt FROM runs.simulation_runs
WHERE simulation_id = ANY(%(simulation_ids)s) AND state IN ('RUNNING', 'COMPLETED');

-- name: insert_bucket
INSERT INTO runs.simulation_trade_buckets (simulation_id, side, trades, wins, losses, pnl,
  mean_return, median_return, best_return, worst_return, mean_bars_held, mean_mae, mean_mfe,
  exit_reasons)
VALUES (%(simulation_id)s, %(side)s, %(trades)s, %(wins)s, %(losses)s, %(pnl)s, %(mean_return)s,
  %(median_return)s, %(best_return)s, %(worst_return)s, %(mean_bars_held)s, %(mean_mae)s,
  %(mean_mfe)s, %(exit_reasons)s);

-- name: select_buckets
SELECT simulation_id, side, trades, wins, losses, pnl, mean_return, median_return, best_return,
  worst_return, mean_bars_held, mean_mae, mean_mfe, exit_reasons
FROM runs.simulation_trade_buckets
WHERE simulation_id = ANY(%(simulation_ids)s)
ORDER BY simulation_id, side;

-- name: number_event
WITH run AS (
  UPDATE runs.walkforward_runs SET last_event = last_event + 1
  WHERE run_id = %(subject_id)s RETURNING last_event
), simulation AS (
  UPDATE runs.simulation_runs SET last_event = last_event + 1
  WHERE simulation_id = %(subject_id)s RETURNING last_event
)
SELECT last_event FROM run UNION ALL SELECT last_event FROM simulation;

-- name: insert_event
INSERT INTO runs.events (subject_id, sequence, at, kind, body)
VALUES (%(subject_id)s, %(sequence)s, %(at)s, %(kind)s, %(body)s);

-- name: events_after
SELECT sequence, at, kind, body FROM runs.events
WHERE subject_id = %(subject_id)s AND sequence > %(sequence)s
ORDER BY sequence
LIMIT %(limit)s;

-- name: delete_events_of_run
DELETE FROM runs.events
WHERE subject_id = %(run_id)s
  OR subject_id IN (SELECT simulation_id FROM runs.simulation_runs WHERE run_id = %(run_id)s);

-- name: delete_events
DELETE FROM runs.events WHERE subject_id = %(subject_id)s;

-- name: upsert_worker
INSERT INTO runs.workers (worker_id, kind, address, device, memory_bytes, slots, versions, last_seen)
VALUES (%(worker_id)s, %(kind)s, %(address)s, %(device)s, %(memory_bytes)s, %(slots)s,
  %(versions)s, %(last_seen)s)
ON CONFLICT (worker_id) DO UPDATE SET kind = EXCLUDED.kind, address = EXCLUDED.address,
  device = EXCLUDED.device, memory_bytes = EXCLUDED.memory_bytes, slots = EXCLUDED.slots,
  versions = EXCLUDED.versions, last_seen = EXCLUDED.last_seen;

-- name: beat_worker
UPDATE runs.workers SET last_seen = %(now)s
WHERE worker_id = %(worker_id)s AND last_seen > %(seen_after)s;

-- name: alive_workers
SELECT w.worker_id, w.kind, w.address, w.device, w.memory_bytes, w.slots, w.versions, w.last_seen,
  (SELECT count(*) FROM runs.walkforward_runs r
    WHERE r.worker_id = w.worker_id AND r.lease_until > %(now)s)
  + (SELECT count(*) FROM runs.simulation_runs s
    WHERE s.worker_id = w.worker_id AND s.lease_until > %(now)s) AS busy
FROM runs.workers w
WHERE w.last_seen > %(seen_after)s AND (%(worker_id)s::uuid IS NULL OR w.worker_id = %(worker_id)s)
ORDER BY w.kind, w.address;

-- name: remove_worker
DELETE FROM runs.workers WHERE worker_id = %(worker_id)s;

-- name: forget_workers
DELETE FROM runs.workers WHERE last_seen < %(before)s;

-- name: select_key
SELECT body_sha256, resource_id FROM runs.idempotency
WHERE method = %(method)s AND key = %(key)s AND created_at > %(valid_after)s;

-- name: claim_key
INSERT INTO runs.idempotency (method, key, body_sha256, resource_id, created_at)
VALUES (%(method)s, %(key)s, %(body_sha256)s, %(resource_id)s, %(now)s)
ON CONFLICT (method, key) DO UPDATE SET body_sha256 = EXCLUDED.body_sha256,
  resource_id = EXCLUDED.resource_id, created_at = EXCLUDED.created_at
WHERE runs.idempotency.created_at <= %(valid_after)s
RETURNING resource_id;

-- name: forget_keys
DELETE FROM runs.idempotency WHERE created_at <= %(valid_after)s;

-- name: insert_trial
INSERT INTO runs.trials (trial_id, kind, dataset_slug, target_column, started_at)
VALUES (%(trial_id)s, %(kind)s, %(dataset_slug)s, %(target_column)s, %(started_at)s);

-- name: insert_outcome
INSERT INTO runs.trial_outcomes (trial_id, state, sharpe_per_period, observations, ended_at)
VALUES (%(trial_id)s, %(state)s, %(sharpe_per_period)s, %(observations)s, %(ended_at)s)
ON CONFLICT (trial_id) DO NOTHING;

-- name: loosen_pin
INSERT INTO runs.loose_pins (holder, since) VALUES (%(holder)s, %(since)s)
ON CONFLICT (holder) DO NOTHING;

-- name: tie_pin
DELETE FROM runs.loose_pins WHERE holder = %(holder)s;

-- name: loose_pins
SELECT holder FROM runs.loose_pins WHERE since < %(before)s ORDER BY since LIMIT 100;
