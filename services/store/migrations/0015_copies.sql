-- Trials that have the result of an earlier one instead of being run: no part of the budget's trials.

ALTER TABLE crescendo.trials
    ADD COLUMN copied_from integer; -- the number of that trial; NULL for those that run

ALTER TABLE crescendo.orchestrations
    ADD COLUMN copied bigint NOT NULL DEFAULT 0 CHECK (copied >= 0), -- such trials
    DROP CONSTRAINT orchestrations_trials_within_budget,
    ADD CONSTRAINT orchestrations_trials_within_budget CHECK (next_trial_number - copied <= max_trials);
