-- Sessions, searcher leases and hand-outs.

-- name: register_session
INSERT INTO crescendo.sessions (
    session_id, worker_class, worker_name, slots, free_slots, lease_until
)
VALUES ($1, $2, $3, $4, $4, crescendo.now() + make_interval(secs => $5));

-- name: renew_session
UPDATE crescendo.sessions
SET lease_until = crescendo.now() + make_interval(secs => $3), last_beat_at = crescendo.now(),
    free_slots = $2
WHERE session_id = $1 AND ended_at IS NULL
RETURNING session_id;

-- name: set_listener
UPDATE crescendo.sessions
SET listener_id = $2, lease_until = crescendo.now() + make_interval(secs => $3)
WHERE session_id = $1 AND ended_at IS NULL
RETURNING session_id;

-- name: session_exists
SELECT EXISTS (SELECT FROM crescendo.sessions WHERE session_id = $1);

-- name: shorten_session
UPDATE crescendo.sessions
SET lease_until = least(lease_until, crescendo.now() + make_interval(secs => $3))
WHERE session_id = $1 AND listener_id = $2 AND ended_at IS NULL;

-- name: end_session
-- Changing the key's row version would not stop claims; FOR UPDATE waits for those under way.
WITH locked AS (
    SELECT session_id FROM crescendo.sessions WHERE session_id = $1 FOR UPDATE
)
UPDATE crescendo.sessions
SET ended_at = coalesce(ended_at, crescendo.now()), end_cause = coalesce(end_cause, 'closed')
FROM locked
WHERE sessions.session_id = locked.session_id
RETURNING sessions.session_id;

-- name: end_expired_sessions
WITH expired AS (
    SELECT session_id
    FROM crescendo.sessions
    WHERE ended_at IS NULL AND lease_until < crescendo.now()
    ORDER BY session_id
    FOR UPDATE SKIP LOCKED
)
UPDATE crescendo.sessions
SET ended_at = crescendo.now(), end_cause = 'lost'
FROM expired
-- Checked again under the lock: a beat may have come meanwhile.
WHERE sessions.session_id = expired.session_id AND sessions.lease_until < crescendo.now()
RETURNING sessions.session_id;

-- name: limit_leases
UPDATE crescendo.sessions
SET lease_until = crescendo.now() + make_interval(secs => $1)
WHERE ended_at IS NULL AND lease_until > crescendo.now() + make_interval(secs => $1);

-- name: unsettled_sessions
SELECT session_id, end_cause = 'lost' AS lost
FROM crescendo.sessions
WHERE NOT settled AND ended_at IS NOT NULL
ORDER BY session_id;

-- name: settle_session
UPDATE crescendo.sessions
SET settled = true
WHERE session_id = $1;

-- name: ended_sessions
SELECT session_id
FROM crescendo.sessions
WHERE session_id = ANY ($1::uuid[]) AND ended_at IS NOT NULL;

-- name: held_trials
SELECT t.state, t.attempt
FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY AS held (orchestration_id, number, place)
LEFT JOIN crescendo.trials AS t
    ON t.orchestration_id = held.orchestration_id AND t.number = held.number
ORDER BY held.place;

-- name: running_trials
SELECT orchestration_id, number, attempt, missed_beats,
    coalesce(started_at > crescendo.now() - make_interval(secs => $2), false) AS is_recent
FROM crescendo.trials
WHERE session_id = $1 AND state = 'running'
ORDER BY orchestration_id, number;

-- name: set_missed_beats
-- Rows that others are changing are left for the next beat.
WITH noted AS (
    SELECT t.orchestration_id, t.number, beat.missed
    FROM unnest($2::uuid[], $3::integer[], $4::integer[], $5::integer[])
        AS beat (orchestration_id, number, attempt, missed)
    JOIN crescendo.trials AS t
        ON t.orchestration_id = beat.orchestration_id AND t.number = beat.number
    WHERE t.session_id = $1 AND t.state = 'running' AND t.attempt = beat.attempt
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE crescendo.trials
SET missed_beats = noted.missed
FROM noted
WHERE trials.orchestration_id = noted.orchestration_id AND trials.number = noted.number;

-- name: take_stops
WITH stops AS (
    SELECT orchestration_id, number
    FROM crescendo.trials
    WHERE session_id = ANY ($1::uuid[]) AND stop_requested
    FOR UPDATE SKIP LOCKED
)
UPDATE crescendo.trials
SET stop_requested = false
FROM stops
WHERE trials.orchestration_id = stops.orchestration_id AND trials.number = stops.number
RETURNING trials.session_id, trials.orchestration_id, trials.number, trials.attempt;

-- name: renew_searchers
WITH held AS (
    SELECT tuning_run_id
    FROM crescendo.tuning_runs
    WHERE tuning_run_id = ANY ($2::uuid[]) AND searcher_owner = $1 AND state = 'running'
    ORDER BY tuning_run_id
    FOR UPDATE
)
UPDATE crescendo.tuning_runs
SET searcher_until = crescendo.now() + make_interval(secs => $3)
FROM held
WHERE tuning_runs.tuning_run_id = held.tuning_run_id
RETURNING tuning_runs.tuning_run_id, tuning_runs.orchestration_id, tuning_runs.searcher_epoch;

-- name: take_searchers
WITH free AS (
    SELECT tuning_run_id
    FROM crescendo.tuning_runs
    WHERE state = 'running' AND (
        searcher_until IS NULL OR searcher_until < crescendo.now()
        -- Its own lease that it does not know of: the answer was lost, or a pause came between.
        OR (searcher_owner = $1 AND NOT tuning_run_id = ANY ($4::uuid[]))
    )
    ORDER BY started_at, tuning_run_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE crescendo.tuning_runs
SET searcher_owner = $1, searcher_epoch = searcher_epoch + 1,
    searcher_until = crescendo.now() + make_interval(secs => $3)
FROM free
WHERE tuning_runs.tuning_run_id = free.tuning_run_id
RETURNING tuning_runs.tuning_run_id, tuning_runs.orchestration_id, tuning_runs.searcher_epoch;

-- name: release_searchers
WITH held AS (
    SELECT tuning_run_id
    FROM crescendo.tuning_runs
    WHERE tuning_run_id = ANY ($2::uuid[]) AND searcher_owner = $1
    ORDER BY tuning_run_id
    FOR UPDATE
)
UPDATE crescendo.tuning_runs
SET searcher_owner = NULL, searcher_until = NULL
FROM held
WHERE tuning_runs.tuning_run_id = held.tuning_run_id;

-- name: lock_hand_out
SELECT pg_advisory_xact_lock($1);

-- name: requeue_unclaimed
-- A message waits behind others of its class: at most a batch or two, as long as their trials take.
WITH patience AS MATERIALIZED (
    SELECT tuning_run_id, queued, greatest(
        $1, 3 * mean_duration,
        3 * max(mean_duration) FILTER (WHERE running > 0) OVER (PARTITION BY worker_class)
    ) AS seconds
    FROM crescendo.tuning_runs
    WHERE state IN ('running', 'paused')
),
unclaimed AS (
    SELECT late.orchestration_id, late.number
    FROM patience
    CROSS JOIN LATERAL (
        SELECT t.orchestration_id, t.number
        FROM crescendo.trials AS t
        WHERE t.tuning_run_id = patience.tuning_run_id
            AND t.state = 'queued' AND t.dispatched_at IS NOT NULL
            AND t.dispatched_at < crescendo.now() - make_interval(secs => patience.seconds)
        FOR UPDATE SKIP LOCKED
    ) AS late
    WHERE patience.queued > 0
)
UPDATE crescendo.trials
SET dispatched_at = NULL
FROM unclaimed
WHERE trials.orchestration_id = unclaimed.orchestration_id AND trials.number = unclaimed.number
RETURNING trials.number;

-- name: worker_classes
SELECT worker_class, count(*)::integer AS live_workers, sum(slots)::integer AS slots
FROM crescendo.sessions
WHERE ended_at IS NULL AND lease_until > crescendo.now()
GROUP BY worker_class
ORDER BY worker_class;

-- name: loads
-- Tuning runs in other states have no open trials.
SELECT r.tuning_run_id, r.orchestration_id, r.worker_class, o.tenant, o.priority, o.created_at,
    r.stage_index, r.position, o.max_concurrent_trials, r.mean_duration,
    r.queued - dispatched.trials - delayed.trials AS waiting,
    r.running + dispatched.trials AS outstanding,
    r.state = 'running' AND o.state = 'running'
        AND (o.deadline_at IS NULL OR o.deadline_at > crescendo.now())
        -- As Budget.room_for_attempts counts: what a claim would answer LATER is not sent about.
        AND CASE
            WHEN o.max_cost IS NULL THEN true
            WHEN o.trial_timeout_seconds IS NULL THEN o.cost < o.max_cost
            ELSE floor(
                (o.max_cost - o.cost) / (o.price_per_hour / 3600 * o.trial_timeout_seconds)
                * (1 + 1e-9::double precision) + 1e-9::double precision
            ) - o.reserved_attempts - dispatched.trials >= 1
        END AS open_for_work
FROM crescendo.tuning_runs AS r
JOIN crescendo.orchestrations AS o ON o.orchestration_id = r.orchestration_id
CROSS JOIN LATERAL (
    SELECT count(*) AS trials
    FROM crescendo.trials AS t
    WHERE t.tuning_run_id = r.tuning_run_id AND t.state = 'queued' AND t.dispatched_at IS NOT NULL
) AS dispatched
CROSS JOIN LATERAL (
    SELECT count(*) AS trials
    FROM crescendo.trials AS t
    WHERE t.tuning_run_id = r.tuning_run_id AND t.state = 'queued' AND t.dispatched_at IS NULL
        AND t.not_before IS NOT NULL AND t.not_before > crescendo.now()
) AS delayed
WHERE r.state IN ('running', 'paused') AND r.queued + r.running > 0
ORDER BY o.created_at, r.stage_index, r.position;

-- name: pick_trials
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[]) AS wanted (tuning_run_id, trials)
),
picked AS (
    SELECT waiting.orchestration_id, waiting.number
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT t.orchestration_id, t.number
        FROM crescendo.trials AS t
        WHERE t.tuning_run_id = wanted.tuning_run_id
            AND t.state = 'queued' AND t.dispatched_at IS NULL
            AND (t.not_before IS NULL OR t.not_before <= crescendo.now())
        ORDER BY t.number
        LIMIT wanted.trials
        FOR UPDATE SKIP LOCKED
    ) AS waiting
)
UPDATE crescendo.trials
SET dispatched_at = crescendo.now()
FROM picked
WHERE trials.orchestration_id = picked.orchestration_id AND trials.number = picked.number
RETURNING trials.tuning_run_id, trials.orchestration_id, trials.number, trials.attempt,
    trials.crash_strikes + trials.oom_strikes > 0 OR trials.lost_strikes > 1 AS has_strikes,
    (
        SELECT o.request_id FROM crescendo.orchestrations AS o
        WHERE o.orchestration_id = trials.orchestration_id
    ) AS request_id;

-- name: recall_trials
WITH recalled AS (
    SELECT t.orchestration_id, t.number
    FROM unnest($1::uuid[], $2::integer[], $3::integer[])
        AS batch (orchestration_id, number, attempt)
    JOIN crescendo.trials AS t
        ON t.orchestration_id = batch.orchestration_id AND t.number = batch.number
    WHERE t.state = 'queued' AND t.dispatched_at IS NOT NULL AND t.attempt = batch.attempt
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE crescendo.trials
SET dispatched_at = NULL
FROM recalled
WHERE trials.orchestration_id = recalled.orchestration_id AND trials.number = recalled.number
RETURNING trials.number;

-- name: recall_all_trials
WITH recalled AS (
    SELECT t.orchestration_id, t.number
    FROM crescendo.tuning_runs AS r
    JOIN crescendo.trials AS t ON t.tuning_run_id = r.tuning_run_id
    WHERE r.state IN ('running', 'paused') AND r.queued > 0
        AND ($2 = '' OR r.worker_class = $2)
        AND t.state = 'queued' AND t.dispatched_at IS NOT NULL
        AND t.dispatched_at <= crescendo.now() - make_interval(secs => $1)
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE crescendo.trials
SET dispatched_at = NULL
FROM recalled
WHERE trials.orchestration_id = recalled.orchestration_id AND trials.number = recalled.number
RETURNING trials.number;
