-- Everything one transaction on a locked orchestration does.
-- Trials are looked up number by number (LATERAL, kept apart by OFFSET 0 or FOR UPDATE): on tables without
-- statistics the planner would rather read a whole orchestration. What is changed was locked before in the
-- same transaction, so its place (ctid) holds.

-- name: reserve_request
INSERT INTO crescendo.requests (tenant, rpc, request_id, body_hash, resource_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING resource_id;

-- name: find_request
SELECT body_hash, resource_id
FROM crescendo.requests
WHERE tenant = $1 AND rpc = $2 AND request_id = $3;

-- name: redirect_request
UPDATE crescendo.requests SET resource_id = $4
WHERE tenant = $1 AND rpc = $2 AND request_id = $3;

-- name: insert_orchestration
INSERT INTO crescendo.orchestrations (
    orchestration_id, tenant, workflow, study_name, spec_hash, state,
    scoring_metric, cv_folds, random_state, max_concurrent_trials, priority, worker_class,
    max_trials, max_failed_trials, max_seconds, max_cost, price_per_hour, trial_timeout_seconds,
    request_id, stopping_proto, selection_proto
)
VALUES (
    $1, $2, $3, nullif($4::text, ''), $5, 'pending', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20
)
ON CONFLICT (tenant, study_name) WHERE study_name IS NOT NULL DO NOTHING
RETURNING orchestration_id;

-- name: find_study
SELECT orchestration_id, spec_hash
FROM crescendo.orchestrations
WHERE tenant = $1 AND study_name = $2;

-- name: insert_stage
INSERT INTO crescendo.stages (
    orchestration_id, stage_index, method, state, max_active_tuning_runs, refinement_factor,
    plan_proto
)
VALUES ($1, $2, $3, 'pending', $4, $5, $6);

-- name: insert_tuning_run
INSERT INTO crescendo.tuning_runs (
    tuning_run_id, orchestration_id, stage_index, position, model_run_id, model_type,
    method, method_used, state, space_proto, original_space_proto, evaluation_proto,
    metrics, cv_folds, random_state, trial_budget, total_combinations, planned, worker_class,
    stopping_proto, pruning_proto, start_proto
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 'pending', $8, $8, $9, $10, $11, $12, $13, $14, $15, $16,
    $17, $18, $19);

-- name: keep_session
SELECT session_id, worker_class, worker_name, slots, ended_at IS NOT NULL AS ended
FROM crescendo.sessions
WHERE session_id = $1
-- Weak enough for beats to go on, strong enough to make the end of the session wait.
FOR KEY SHARE;

-- name: lock_orchestration
SELECT orchestration_id, tenant, state, reason, message, max_concurrent_trials, last_sequence,
    next_trial_number, refinement_count, planned, queued, running, succeeded, failed, pruned,
    cancelled, best_number, best_tuning_run_id, best_score, best_rank, started_at, ended_at,
    worker_class, max_trials, max_failed_trials, max_seconds, max_cost, price_per_hour,
    trial_timeout_seconds, active_seconds, active_since, deadline_at, cost, reserved_attempts,
    workers_missing, stopping_proto, plateau_reference, flat_trials, copied,
    crescendo.now() AS observed_at
FROM crescendo.orchestrations
WHERE orchestration_id = $1
FOR UPDATE;

-- name: read_stages
SELECT stage_index, method, state, reason, message, max_active_tuning_runs, started_at, ended_at
FROM crescendo.stages
WHERE orchestration_id = $1
ORDER BY stage_index;

-- name: lock_tuning_runs
SELECT tuning_run_id, stage_index, position, model_run_id, model_type, method, method_used, state,
    reason, message, trial_budget, total_combinations, planned, queued, running, succeeded, failed,
    pruned, cancelled, created,
    best_number, best_score, best_rank, last_end_sequence, measured_trials, mean_duration,
    searcher_epoch, metrics, cv_folds, started_at, ended_at, stopping_proto, plateau_reference,
    flat_trials, stop_reason, pruning_proto, leader_scores, leader_places, fits_saved
FROM crescendo.tuning_runs
WHERE orchestration_id = $1 AND tuning_run_id = ANY ($2::uuid[])
ORDER BY tuning_run_id
FOR UPDATE;

-- name: lock_all_tuning_runs
SELECT tuning_run_id, stage_index, position, model_run_id, model_type, method, method_used, state,
    reason, message, trial_budget, total_combinations, planned, queued, running, succeeded, failed,
    pruned, cancelled, created,
    best_number, best_score, best_rank, last_end_sequence, measured_trials, mean_duration,
    searcher_epoch, metrics, cv_folds, started_at, ended_at, stopping_proto, plateau_reference,
    flat_trials, stop_reason, pruning_proto, leader_scores, leader_places, fits_saved
FROM crescendo.tuning_runs
WHERE orchestration_id = $1
ORDER BY tuning_run_id
FOR UPDATE;

-- name: lock_tuning_runs_of_trials
SELECT tuning_run_id, stage_index, position, model_run_id, model_type, method, method_used, state,
    reason, message, trial_budget, total_combinations, planned, queued, running, succeeded, failed,
    pruned, cancelled, created,
    best_number, best_score, best_rank, last_end_sequence, measured_trials, mean_duration,
    searcher_epoch, metrics, cv_folds, started_at, ended_at, stopping_proto, plateau_reference,
    flat_trials, stop_reason, pruning_proto, leader_scores, leader_places, fits_saved
FROM crescendo.tuning_runs
WHERE tuning_run_id = ANY (ARRAY(
    SELECT DISTINCT found.tuning_run_id
    FROM unnest($2::integer[]) AS wanted (number)
    CROSS JOIN LATERAL (
        SELECT tuning_run_id
        FROM crescendo.trials
        WHERE orchestration_id = $1 AND number = wanted.number
        OFFSET 0
    ) AS found
))
ORDER BY tuning_run_id
FOR UPDATE;

-- name: save_orchestration
UPDATE crescendo.orchestrations
SET state = $2, reason = $3, message = $4, last_sequence = $5, next_trial_number = $6,
    refinement_count = $7, planned = $8, queued = $9, running = $10, succeeded = $11, failed = $12,
    pruned = $13, cancelled = $14, best_number = $15, best_tuning_run_id = $16, best_score = $17,
    best_rank = $18, started_at = $19, ended_at = $20
WHERE orchestration_id = $1;

-- name: save_budget
UPDATE crescendo.orchestrations
SET max_trials = $2, max_failed_trials = $3, max_seconds = $4, max_cost = $5, active_seconds = $6,
    active_since = $7, deadline_at = $8, cost = $9, reserved_attempts = $10, workers_missing = $11,
    plateau_reference = $12, flat_trials = $13, copied = $14
WHERE orchestration_id = $1;

-- name: save_stage
UPDATE crescendo.stages
SET state = $3, reason = $4, message = $5, started_at = $6, ended_at = $7
WHERE orchestration_id = $1 AND stage_index = $2;

-- name: save_tuning_run
UPDATE crescendo.tuning_runs
SET state = $2, reason = $3, message = $4, method_used = $5, planned = $6, queued = $7,
    running = $8, succeeded = $9, failed = $10, pruned = $11, cancelled = $12, created = $13,
    best_number = $14, best_score = $15, best_rank = $16, last_end_sequence = $17,
    measured_trials = $18, mean_duration = $19, started_at = $20, ended_at = $21, trial_budget = $22,
    plateau_reference = $23, flat_trials = $24, stop_reason = $25,
    leader_scores = $26, leader_places = $27, fits_saved = $28
WHERE tuning_run_id = $1;

-- name: set_space
UPDATE crescendo.tuning_runs
SET space_proto = $2, total_combinations = $3
WHERE tuning_run_id = $1;

-- name: insert_refinement
INSERT INTO crescendo.refinements (orchestration_id, refinement_id, refinement_proto)
VALUES ($1, $2, $3);

-- name: append_events
INSERT INTO crescendo.events (orchestration_id, sequence, occurred_at, payload_proto)
SELECT $1, $2 + place - 1, $3, payload
FROM unnest($4::bytea[]) WITH ORDINALITY AS event (payload, place);

-- name: lock_trials
SELECT found.*
FROM unnest($2::integer[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT number, tuning_run_id, stage_index, state, attempt, parameters_proto, candidate_index,
        finished_attempt, reported_splits, lost_strikes, crash_strikes, oom_strikes, infra_failures,
        infra_since, crash_worker, session_id, claim_id, worker, missed_beats, not_before
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = wanted.number
    FOR UPDATE
) AS found;

-- name: lock_open_trials
SELECT number, tuning_run_id, stage_index, state, attempt, parameters_proto, candidate_index,
    finished_attempt, reported_splits, lost_strikes, crash_strikes, oom_strikes, infra_failures,
    infra_since, crash_worker, session_id, claim_id, worker, missed_beats, not_before
FROM crescendo.trials
WHERE tuning_run_id = ANY ($1::uuid[]) AND state IN ('queued', 'running')
ORDER BY number
FOR UPDATE;

-- name: insert_trials
INSERT INTO crescendo.trials (
    orchestration_id, tuning_run_id, stage_index, queued_at,
    number, parameters_proto, candidate_index, phase, suggestion_index, suggested_at_sequence,
    copied_from
)
SELECT $1, $2, $3, crescendo.now(), trial.*
FROM unnest(
    $4::integer[], $5::bytea[], $6::bigint[], $7::text[], $8::integer[], $9::bigint[], $10::integer[]
) AS trial;

-- name: read_finished
SELECT trial.number, run.model_run_id, trial.parameters_proto, trial.score, trial.metrics_proto
FROM crescendo.trials AS trial
JOIN crescendo.tuning_runs AS run USING (tuning_run_id)
WHERE trial.orchestration_id = $1 AND trial.number = $2 AND trial.state = 'succeeded';

-- name: find_number
SELECT number
FROM crescendo.trials
WHERE tuning_run_id = $1 AND suggestion_index = $2;

-- name: start_trials
UPDATE crescendo.trials
SET state = 'running', session_id = $3, claim_id = $4, worker = $5, missed_beats = 0,
    reported_splits = 0, started_at = crescendo.now()
FROM unnest($2::integer[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = wanted.number AND state = 'queued'
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: clear_dispatch
UPDATE crescendo.trials
SET dispatched_at = NULL
FROM unnest($2::integer[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = wanted.number AND state = 'queued'
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: delay_trials
UPDATE crescendo.trials
SET dispatched_at = NULL, not_before = crescendo.now() + make_interval(secs => $3)
FROM unnest($2::integer[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = wanted.number AND state = 'queued'
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: has_other_workers
SELECT EXISTS (
    SELECT FROM crescendo.sessions
    WHERE worker_class = $1 AND worker_name <> $2 AND ended_at IS NULL
        AND lease_until > crescendo.now()
);

-- name: clear_all_dispatch
UPDATE crescendo.trials
SET dispatched_at = NULL
WHERE orchestration_id = $1 AND state = 'queued' AND dispatched_at IS NOT NULL;

-- name: end_trials
UPDATE crescendo.trials
SET state = ending.state, finished_attempt = ending.finished_attempt, score = ending.score,
    metrics_proto = ending.metrics, failure_kind = ending.failure_kind,
    failure_message = ending.failure_message, fit_seconds = ending.fit_seconds,
    score_seconds = ending.score_seconds, duration_seconds = ending.duration_seconds,
    stop_requested = ending.stop_requested, finished_at = crescendo.now()
FROM unnest(
    $2::integer[], $3::text[], $4::integer[], $5::double precision[], $6::bytea[], $7::text[],
    $8::text[], $9::double precision[], $10::double precision[], $11::double precision[],
    $12::boolean[]
) AS ending (
    number, state, finished_attempt, score, metrics, failure_kind, failure_message, fit_seconds,
    score_seconds, duration_seconds, stop_requested
)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = ending.number AND state IN ('queued', 'running')
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: requeue_trials
UPDATE crescendo.trials
SET state = 'queued', attempt = requeue.attempt, lost_strikes = requeue.lost_strikes,
    crash_strikes = requeue.crash_strikes, oom_strikes = requeue.oom_strikes,
    infra_failures = requeue.infra_failures, infra_since = requeue.infra_since,
    crash_worker = requeue.crash_worker, not_before = requeue.not_before, dispatched_at = NULL,
    session_id = NULL, claim_id = NULL, missed_beats = 0, reported_splits = 0
FROM unnest(
    $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::integer[],
    $8::timestamptz[], $9::text[], $10::timestamptz[]
) AS requeue (
    number, attempt, lost_strikes, crash_strikes, oom_strikes, infra_failures, infra_since,
    crash_worker, not_before
)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = requeue.number AND state = 'running'
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: set_reported_splits
UPDATE crescendo.trials
SET reported_splits = report.splits
FROM unnest($2::integer[], $3::integer[]) AS report (number, splits)
CROSS JOIN LATERAL (
    SELECT ctid AS place
    FROM crescendo.trials
    WHERE orchestration_id = $1 AND number = report.number AND state = 'running'
    OFFSET 0
) AS found
WHERE trials.ctid = found.place;

-- name: read_parameters
SELECT parameters_proto
FROM crescendo.trials
WHERE orchestration_id = $1 AND number = $2;

-- name: most_frequent_failure
SELECT failure_message
FROM crescendo.trials
WHERE tuning_run_id = $1 AND state = 'failed'
GROUP BY failure_message
ORDER BY count(*) DESC, min(number)
LIMIT 1;

-- name: orchestration_of
SELECT orchestration_id
FROM crescendo.tuning_runs
WHERE tuning_run_id = $1;

-- name: insert_attempt_costs
INSERT INTO crescendo.attempt_costs (
    orchestration_id, started_at, reserved, number, attempt
)
SELECT $1, $2, $3, claimed.*
FROM unnest($4::integer[], $5::integer[]) AS claimed
-- A trial is claimed once per attempt.
ON CONFLICT DO NOTHING
RETURNING number;

-- name: read_attempt_costs
SELECT found.*
FROM unnest($2::integer[], $3::integer[]) AS wanted (number, attempt)
CROSS JOIN LATERAL (
    SELECT number, attempt, started_at, reserved, charged, left_at, expires_at, settled
    FROM crescendo.attempt_costs
    WHERE orchestration_id = $1 AND number = wanted.number AND attempt = wanted.attempt
        AND NOT settled
    OFFSET 0
) AS found;

-- name: read_expired_costs
SELECT number, attempt, started_at, reserved, charged, left_at, expires_at, settled
FROM crescendo.attempt_costs
WHERE orchestration_id = $1 AND NOT settled AND left_at IS NOT NULL
    AND expires_at <= crescendo.now();

-- name: save_attempt_costs
UPDATE crescendo.attempt_costs
SET charged = cost.charged, left_at = cost.left_at, expires_at = cost.expires_at,
    settled = cost.settled
FROM unnest(
    $2::integer[], $3::integer[], $4::double precision[], $5::timestamptz[], $6::timestamptz[],
    $7::boolean[]
) AS cost (number, attempt, charged, left_at, expires_at, settled)
WHERE attempt_costs.orchestration_id = $1 AND attempt_costs.number = cost.number
    AND attempt_costs.attempt = cost.attempt AND NOT attempt_costs.settled;
