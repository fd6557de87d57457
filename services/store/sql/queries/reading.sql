-- What is shown. All reads of one answer run in one snapshot.

-- name: orchestration
SELECT o.orchestration_id, o.workflow, o.state, o.reason, o.message,
    coalesce(o.study_name, '') AS study_name, o.planned, o.queued, o.running, o.succeeded, o.failed,
    o.pruned, o.cancelled, o.first_sequence, o.last_sequence, o.scoring_metric, o.cv_folds,
    o.random_state,
    o.max_concurrent_trials, o.priority, o.worker_class, o.max_trials, o.max_failed_trials,
    o.max_seconds, o.max_cost, o.price_per_hour, o.trial_timeout_seconds, o.active_seconds,
    o.active_since, o.cost, o.reserved_attempts, o.copied, o.stopping_proto, o.selection_proto, o.created_at, o.started_at, o.ended_at, crescendo.now() AS observed_at,
    o.best_number, o.best_score, o.best_tuning_run_id, b.model_run_id AS best_model_run_id,
    b.model_type AS best_model_type, b.method_used AS best_method,
    t.parameters_proto AS best_parameters
FROM crescendo.orchestrations AS o
LEFT JOIN crescendo.tuning_runs AS b ON b.tuning_run_id = o.best_tuning_run_id
LEFT JOIN crescendo.trials AS t
    ON t.orchestration_id = o.orchestration_id AND t.number = o.best_number
WHERE o.orchestration_id = $1;

-- name: orchestrations
SELECT o.orchestration_id, o.workflow, o.state, o.reason, o.message,
    coalesce(o.study_name, '') AS study_name, o.planned, o.queued, o.running, o.succeeded, o.failed,
    o.pruned, o.cancelled, o.first_sequence, o.last_sequence, o.scoring_metric, o.cv_folds,
    o.random_state,
    o.max_concurrent_trials, o.priority, o.worker_class, o.max_trials, o.max_failed_trials,
    o.max_seconds, o.max_cost, o.price_per_hour, o.trial_timeout_seconds, o.active_seconds,
    o.active_since, o.cost, o.reserved_attempts, o.copied, o.stopping_proto, o.selection_proto, o.created_at, o.started_at, o.ended_at, crescendo.now() AS observed_at,
    o.best_number, o.best_score, o.best_tuning_run_id, b.model_run_id AS best_model_run_id,
    b.model_type AS best_model_type, b.method_used AS best_method,
    t.parameters_proto AS best_parameters
FROM crescendo.orchestrations AS o
LEFT JOIN crescendo.tuning_runs AS b ON b.tuning_run_id = o.best_tuning_run_id
LEFT JOIN crescendo.trials AS t
    ON t.orchestration_id = o.orchestration_id AND t.number = o.best_number
WHERE o.tenant = $1
    AND ($2::text[] IS NULL OR o.state = ANY ($2))
    AND ($3::text = '' OR o.study_name = $3)
    AND ($4::timestamptz IS NULL OR o.created_at < $4
        OR (o.created_at = $4 AND o.orchestration_id > $5::uuid))
ORDER BY o.created_at DESC, o.orchestration_id
LIMIT $6;

-- name: stages
SELECT stage_index, method, state, reason, message, max_active_tuning_runs, refinement_factor,
    plan_proto, created_at, started_at, ended_at
FROM crescendo.stages
WHERE orchestration_id = $1
ORDER BY stage_index;

-- name: tuning_runs
SELECT r.tuning_run_id, r.orchestration_id, r.stage_index, r.model_run_id, r.model_type, r.method,
    r.method_used, r.state, r.reason, r.message, r.space_proto, r.original_space_proto,
    r.evaluation_proto,
    r.trial_budget, r.total_combinations, r.planned, r.queued, r.running, r.succeeded, r.failed,
    r.pruned, r.cancelled, r.stopping_proto, r.stop_reason, r.metrics, r.cv_folds, r.random_state,
    r.pruning_proto, r.fits_saved, r.created_at, r.started_at,
    r.ended_at, crescendo.now() AS observed_at, r.best_number, r.best_score,
    r.tuning_run_id AS best_tuning_run_id, r.model_run_id AS best_model_run_id,
    r.model_type AS best_model_type, r.method_used AS best_method,
    t.parameters_proto AS best_parameters, r.start_proto, b.number AS baseline_number,
    b.score AS baseline_score
FROM crescendo.tuning_runs AS r
LEFT JOIN crescendo.trials AS t
    ON t.orchestration_id = r.orchestration_id AND t.number = r.best_number
LEFT JOIN crescendo.trials AS b
    ON b.tuning_run_id = r.tuning_run_id AND b.suggestion_index = 0 AND b.phase = 'baseline'
WHERE r.orchestration_id = $1
ORDER BY r.stage_index, r.position;

-- name: tuning_run
SELECT r.tuning_run_id, r.orchestration_id, r.stage_index, r.model_run_id, r.model_type, r.method,
    r.method_used, r.state, r.reason, r.message, r.space_proto, r.original_space_proto,
    r.evaluation_proto,
    r.trial_budget, r.total_combinations, r.planned, r.queued, r.running, r.succeeded, r.failed,
    r.pruned, r.cancelled, r.stopping_proto, r.stop_reason, r.metrics, r.cv_folds, r.random_state,
    r.pruning_proto, r.fits_saved, r.created_at, r.started_at,
    r.ended_at, crescendo.now() AS observed_at, r.best_number, r.best_score,
    r.tuning_run_id AS best_tuning_run_id, r.model_run_id AS best_model_run_id,
    r.model_type AS best_model_type, r.method_used AS best_method,
    t.parameters_proto AS best_parameters, r.start_proto, b.number AS baseline_number,
    b.score AS baseline_score
FROM crescendo.tuning_runs AS r
LEFT JOIN crescendo.trials AS t
    ON t.orchestration_id = r.orchestration_id AND t.number = r.best_number
LEFT JOIN crescendo.trials AS b
    ON b.tuning_run_id = r.tuning_run_id AND b.suggestion_index = 0 AND b.phase = 'baseline'
WHERE r.tuning_run_id = $1;

-- name: evaluation
SELECT evaluation_proto, pruning_proto
FROM crescendo.tuning_runs
WHERE tuning_run_id = $1;

-- name: trial
SELECT orchestration_id, number, tuning_run_id, stage_index, state, attempt, parameters_proto,
    candidate_index, phase, suggestion_index, suggested_at_sequence, score, metrics_proto,
    failure_kind, failure_message, worker, fit_seconds, score_seconds, queued_at, started_at,
    finished_at, copied_from
FROM crescendo.trials
WHERE orchestration_id = $1 AND number = $2;

-- name: trials_by_number
SELECT orchestration_id, number, tuning_run_id, stage_index, state, attempt, parameters_proto,
    candidate_index, phase, suggestion_index, suggested_at_sequence, score, metrics_proto,
    failure_kind, failure_message, worker, fit_seconds, score_seconds, queued_at, started_at,
    finished_at, copied_from
FROM crescendo.trials
WHERE orchestration_id = $1 AND number > $2
    AND ($3::text[] IS NULL OR state = ANY ($3))
    AND ($4::double precision IS NULL OR score >= $4)
ORDER BY number
LIMIT $5;

-- name: trials_of_run_by_number
SELECT orchestration_id, number, tuning_run_id, stage_index, state, attempt, parameters_proto,
    candidate_index, phase, suggestion_index, suggested_at_sequence, score, metrics_proto,
    failure_kind, failure_message, worker, fit_seconds, score_seconds, queued_at, started_at,
    finished_at, copied_from
FROM crescendo.trials
WHERE tuning_run_id = $1
    -- Suggestions become trials in their order: the index by suggestion gives numbers in order too.
    AND suggestion_index > coalesce(
        (SELECT suggestion_index FROM crescendo.trials WHERE orchestration_id = $6 AND number = $2), -1
    )
    AND ($3::text[] IS NULL OR state = ANY ($3))
    AND ($4::double precision IS NULL OR score >= $4)
ORDER BY suggestion_index
LIMIT $5;

-- name: trials_by_score
SELECT orchestration_id, number, tuning_run_id, stage_index, state, attempt, parameters_proto,
    candidate_index, phase, suggestion_index, suggested_at_sequence, score, metrics_proto,
    failure_kind, failure_message, worker, fit_seconds, score_seconds, queued_at, started_at,
    finished_at, copied_from
FROM crescendo.trials
WHERE orchestration_id = $1 AND score IS NOT NULL
    AND score <= $2
    AND (score < $2 OR (stage_index, coalesce(candidate_index, 9223372036854775807), number)
        > ($3::integer, $4::bigint, $5::integer))
    AND ($6::uuid IS NULL OR tuning_run_id = $6)
    AND ($7::text[] IS NULL OR state = ANY ($7))
    AND ($8::double precision IS NULL OR score >= $8)
ORDER BY score DESC, stage_index, coalesce(candidate_index, 9223372036854775807), number
LIMIT $9;

-- name: trials_without_score
SELECT orchestration_id, number, tuning_run_id, stage_index, state, attempt, parameters_proto,
    candidate_index, phase, suggestion_index, suggested_at_sequence, score, metrics_proto,
    failure_kind, failure_message, worker, fit_seconds, score_seconds, queued_at, started_at,
    finished_at, copied_from
FROM crescendo.trials
WHERE orchestration_id = $1 AND number > $2 AND score IS NULL
    AND ($3::uuid IS NULL OR tuning_run_id = $3)
    AND ($4::text[] IS NULL OR state = ANY ($4))
ORDER BY number
LIMIT $5;

-- name: scored_trials
SELECT tuning_run_id, number, score, finished_at
FROM crescendo.trials
WHERE orchestration_id = $1 AND score IS NOT NULL
-- Those of one batch ended at once.
ORDER BY finished_at, number;

-- name: refinements
SELECT refinement_proto
FROM crescendo.refinements
WHERE orchestration_id = $1
ORDER BY refinement_id;

-- name: live_slots
SELECT coalesce(sum(slots), 0)::bigint
FROM crescendo.sessions
WHERE ended_at IS NULL AND lease_until > crescendo.now();

-- name: mean_durations
SELECT tuning_run_id, mean_duration
FROM crescendo.tuning_runs
WHERE orchestration_id = $1 AND mean_duration IS NOT NULL;

-- name: orchestration_exists
SELECT EXISTS (SELECT FROM crescendo.orchestrations WHERE orchestration_id = $1);

-- name: log_positions
-- The row of the epoch comes even where no log is found.
SELECT h.epoch, coalesce(h.table_oid = h.tableoid::bigint, true) AS recognised,
    crescendo.now() AS observed_at, o.orchestration_id, o.first_sequence, o.last_sequence,
    o.state IN ('completed', 'failed', 'cancelled') AS ended
FROM crescendo.history AS h
LEFT JOIN crescendo.orchestrations AS o ON o.orchestration_id = ANY ($1::uuid[])
WHERE h.one;

-- name: events
-- With its epoch, in one statement: a page is never of another history than its watcher believes.
SELECT e.sequence, e.occurred_at, e.payload_proto,
    CASE WHEN e.sequence = $2 + 1 THEN h.epoch END AS epoch
FROM crescendo.history AS h
LEFT JOIN LATERAL (
    SELECT sequence, occurred_at, payload_proto
    FROM crescendo.events
    WHERE orchestration_id = $1 AND sequence > $2
    ORDER BY sequence
    LIMIT $3
) AS e ON true
WHERE h.one;

-- name: now
SELECT crescendo.now();
