-- What hand-outs read at every turn, found by tuning run: how much was sent and not claimed, how much
-- must wait, and which tuning runs have work at all. Dispatched trials were found by time before, over
-- all tuning runs; those of a paused one are asked for too.
CREATE INDEX trials_sent ON crescendo.trials (tuning_run_id, dispatched_at)
    WHERE state = 'queued' AND dispatched_at IS NOT NULL;
DROP INDEX crescendo.trials_dispatched;
CREATE INDEX trials_delayed ON crescendo.trials (tuning_run_id, not_before)
    WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX tuning_runs_active ON crescendo.tuning_runs (tuning_run_id)
    WHERE state IN ('running', 'paused');
DROP INDEX crescendo.tuning_runs_running;
