-- Trouble of workers, not of the trial: no strike, but not for ever either.

ALTER TABLE crescendo.trials
    ADD COLUMN infra_failures integer     NOT NULL DEFAULT 0,
    ADD COLUMN infra_since    timestamptz;  -- when the first of them was
