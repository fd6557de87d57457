-- What becomes due by itself. Every replica looks; whoever locks the orchestration first decides, and
-- the others find it done. Orchestrations that run have indexes of their own: there are few of them.

-- name: overdue
SELECT orchestration_id
FROM crescendo.orchestrations
WHERE state = 'running' AND deadline_at IS NOT NULL AND deadline_at <= crescendo.now()
ORDER BY deadline_at
LIMIT $1;

-- name: unaffordable
-- Those that may have come to the end of their cost; the exact rule is applied under the lock.
SELECT orchestration_id
FROM crescendo.orchestrations
WHERE state = 'running' AND max_cost IS NOT NULL AND queued > 0 AND running = 0
    AND reserved_attempts = 0
    AND max_cost - cost <= 1.001 * price_per_hour / 3600 * coalesce(trial_timeout_seconds, 0)
LIMIT $1;

-- name: expired_costs
SELECT DISTINCT orchestration_id
FROM (
    SELECT orchestration_id
    FROM crescendo.attempt_costs
    WHERE NOT settled AND left_at IS NOT NULL AND expires_at IS NOT NULL
        AND expires_at <= crescendo.now()
    ORDER BY expires_at
    LIMIT $1
) AS expired;

-- name: without_workers
SELECT o.orchestration_id
FROM crescendo.orchestrations AS o
WHERE o.state = 'running' AND NOT o.workers_missing AND o.queued > 0
    AND o.active_since <= crescendo.now() - make_interval(secs => $2)
    AND NOT EXISTS (
        SELECT FROM crescendo.sessions AS s
        WHERE s.worker_class = o.worker_class AND s.ended_at IS NULL
            AND s.lease_until > crescendo.now() - make_interval(secs => $2)
    )
    AND NOT EXISTS (
        SELECT FROM crescendo.sessions AS s
        WHERE s.worker_class = o.worker_class
            AND s.ended_at > crescendo.now() - make_interval(secs => $2)
    )
LIMIT $1;

-- name: with_workers_again
SELECT o.orchestration_id
FROM crescendo.orchestrations AS o
WHERE o.state = 'running' AND o.workers_missing
    AND EXISTS (
        SELECT FROM crescendo.sessions AS s
        WHERE s.worker_class = o.worker_class AND s.ended_at IS NULL
            AND s.lease_until > crescendo.now()
    )
LIMIT $1;

-- name: end_stuck_sessions
-- Sessions of stores that Postgres calls active while it waits for their client. By the real clock: they
-- stand still in it.
WITH stuck AS MATERIALIZED (
    SELECT pid, coalesce(host(client_addr), 'local') AS client,
        extract(epoch FROM clock_timestamp() - state_change)::double precision AS waited
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = $1
        AND state = 'active' AND wait_event IN ('ClientRead', 'ClientWrite')
        AND state_change < clock_timestamp() - make_interval(secs => $2)
)
SELECT pid, client, waited
FROM stuck
WHERE pg_terminate_backend(pid);
