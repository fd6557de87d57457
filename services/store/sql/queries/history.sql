-- The epoch of the logs, and what retention removes.

-- name: history
SELECT epoch, system_identifier, timeline, database_oid, table_oid,
    tableoid::bigint AS table_oid_now,
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid_now
FROM crescendo.history
WHERE one;

-- name: wal_position
-- The first eight digits of a segment's name are its timeline. What is flushed is never lost by a crash.
SELECT ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint AS timeline,
    (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS flushed;

-- name: system_identifier
SELECT system_identifier::text FROM pg_control_system();

-- name: set_history
-- Nothing is changed once another process has begun another epoch.
UPDATE crescendo.history
SET epoch = CASE WHEN $2 THEN gen_random_uuid() ELSE epoch END,
    began_at = CASE WHEN $2 THEN clock_timestamp() ELSE began_at END,
    system_identifier = $3, timeline = $4, database_oid = $5, table_oid = $6
WHERE one AND epoch = $1
RETURNING epoch;

-- name: make_history
INSERT INTO crescendo.history DEFAULT VALUES ON CONFLICT DO NOTHING;

-- name: renew_epoch
UPDATE crescendo.history
SET epoch = gen_random_uuid(), began_at = clock_timestamp()
WHERE one AND ($1::uuid IS NULL OR epoch = $1)
RETURNING epoch;

-- name: ended_before
SELECT orchestration_id, ended_at
FROM crescendo.orchestrations
WHERE ended_at IS NOT NULL
    AND ended_at < crescendo.now() - make_interval(secs => $1)
    AND ($2::timestamptz IS NULL OR (ended_at, orchestration_id) > ($2, $3::uuid))
    AND first_sequence <= last_sequence
    -- Until it is settled what an attempt cost, its rows are needed.
    AND reserved_attempts = 0
ORDER BY ended_at, orchestration_id
LIMIT $4;

-- name: forget_steps
-- Trials keep what was decided about them; what it rested on goes with the log. Under the lock as below.
WITH ended AS (
    SELECT orchestration_id
    FROM crescendo.orchestrations
    WHERE orchestration_id = $1
        AND state IN ('completed', 'failed', 'cancelled')
        AND ended_at < crescendo.now() - make_interval(secs => $2)
    FOR UPDATE
),
old AS (
    SELECT step.orchestration_id, step.number, step.attempt, step.step
    FROM ended
    CROSS JOIN LATERAL (
        SELECT orchestration_id, number, attempt, step
        FROM crescendo.trial_steps
        WHERE trial_steps.orchestration_id = ended.orchestration_id
        ORDER BY number, attempt, step
        LIMIT $3
    ) AS step
)
DELETE FROM crescendo.trial_steps
USING old
WHERE trial_steps.orchestration_id = old.orchestration_id AND trial_steps.number = old.number
    AND trial_steps.attempt = old.attempt AND trial_steps.step = old.step
RETURNING 1;

-- name: forget_costs
-- The orchestration keeps their sum. A late finish finds nothing to correct then.
WITH ended AS (
    SELECT orchestration_id
    FROM crescendo.orchestrations
    WHERE orchestration_id = $1
        AND state IN ('completed', 'failed', 'cancelled')
        AND ended_at < crescendo.now() - make_interval(secs => $2)
        AND reserved_attempts = 0
    FOR UPDATE
),
old AS (
    SELECT cost.orchestration_id, cost.number, cost.attempt
    FROM ended
    CROSS JOIN LATERAL (
        SELECT orchestration_id, number, attempt
        FROM crescendo.attempt_costs
        WHERE attempt_costs.orchestration_id = ended.orchestration_id
        ORDER BY number, attempt
        LIMIT $3
    ) AS cost
)
DELETE FROM crescendo.attempt_costs
USING old
WHERE attempt_costs.orchestration_id = old.orchestration_id
    AND attempt_costs.number = old.number AND attempt_costs.attempt = old.attempt
RETURNING 1;

-- name: forget_events
-- Whether it ended long ago is asked again under the lock: it may be reopened at this moment.
WITH old AS (
    SELECT orchestration_id, first_sequence,
        least(first_sequence + $3, last_sequence + 1) AS kept_from
    FROM crescendo.orchestrations
    WHERE orchestration_id = $1
        AND state IN ('completed', 'failed', 'cancelled')
        AND ended_at < crescendo.now() - make_interval(secs => $2)
        AND first_sequence <= last_sequence
    FOR UPDATE
),
forgotten AS (
    DELETE FROM crescendo.events
    USING old
    WHERE events.orchestration_id = old.orchestration_id
        AND events.sequence >= old.first_sequence AND events.sequence < old.kept_from
)
UPDATE crescendo.orchestrations
SET first_sequence = old.kept_from
FROM old
WHERE orchestrations.orchestration_id = old.orchestration_id
RETURNING old.kept_from - old.first_sequence AS forgotten,
    old.kept_from <= orchestrations.last_sequence AS more;

-- name: forget_requests
WITH old AS (
    SELECT tenant, rpc, request_id
    FROM crescendo.requests
    WHERE created_at < crescendo.now() - make_interval(secs => $1)
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM crescendo.requests
USING old
WHERE requests.tenant = old.tenant AND requests.rpc = old.rpc
    AND requests.request_id = old.request_id
RETURNING 1;

-- name: forget_sessions
WITH old AS (
    SELECT session_id
    FROM crescendo.sessions
    WHERE settled AND ended_at < crescendo.now() - make_interval(secs => $1)
    ORDER BY ended_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM crescendo.sessions
USING old
WHERE sessions.session_id = old.session_id
RETURNING 1;
