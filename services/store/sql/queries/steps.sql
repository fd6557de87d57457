-- What trials came to after each step. All of it under the lock of their orchestration.

-- name: read_steps
SELECT tuning_run_id, number, attempt, step, value, mean, best, decision_proto, stops
FROM crescendo.trial_steps
JOIN unnest($2::integer[], $3::integer[]) AS wanted (number, attempt) USING (number, attempt)
WHERE orchestration_id = $1
ORDER BY number, step;

-- name: read_standings
-- A trial that was tried again counts once, by its latest attempt.
SELECT DISTINCT ON (step, number) step, number, value, mean, best
FROM crescendo.trial_steps
WHERE tuning_run_id = $1 AND step = ANY ($2::integer[])
ORDER BY step, number, attempt DESC;

-- name: read_stops
SELECT DISTINCT ON (number) number, decision_proto
FROM crescendo.trial_steps
JOIN unnest($2::integer[], $3::integer[]) AS wanted (number, attempt) USING (number, attempt)
WHERE orchestration_id = $1 AND stops
ORDER BY number, step;

-- name: insert_steps
-- What is there stays: every step of an attempt is judged once.
INSERT INTO crescendo.trial_steps (
    orchestration_id, tuning_run_id, number, attempt, step, value, mean, best, decision_proto, stops
)
SELECT $1, step.*
FROM unnest(
    $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::double precision[],
    $7::double precision[], $8::double precision[], $9::bytea[], $10::boolean[]
) AS step
ON CONFLICT DO NOTHING;

-- name: read_split_scores
SELECT metrics_proto
FROM crescendo.trials
WHERE orchestration_id = $1 AND number = $2;
