-- What operators look at.

-- name: probe_write
SELECT current_setting('transaction_read_only') FROM pg_current_xact_id();

-- name: workforce
SELECT worker_class, sum(sessions)::bigint AS sessions, sum(slots)::bigint AS slots,
    sum(free_slots)::bigint AS free_slots, sum(queued)::bigint AS queued,
    sum(running)::bigint AS running
FROM (
    SELECT worker_class, 1 AS sessions, slots, free_slots, 0 AS queued, 0 AS running
    FROM crescendo.sessions WHERE ended_at IS NULL
    UNION ALL
    SELECT worker_class, 0, 0, 0, queued, running
    FROM crescendo.tuning_runs WHERE state = 'running'
) AS parts
GROUP BY worker_class;
