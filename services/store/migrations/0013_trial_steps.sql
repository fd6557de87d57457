-- What trials came to after each step, where a rule compares them while they run, and what it decided.

CREATE TABLE crescendo.trial_steps (
    orchestration_id uuid             NOT NULL,
    tuning_run_id    uuid             NOT NULL,
    number           integer          NOT NULL,
    attempt          integer          NOT NULL,
    step             integer          NOT NULL CHECK (step >= 1), -- steps made, this one included
    value            double precision NOT NULL, -- of the step
    mean             double precision NOT NULL, -- of all its steps so far
    best             double precision NOT NULL, -- of them
    decision_proto   bytea,           -- PruneDecision; null where no rule looked
    stops            boolean          NOT NULL DEFAULT false, -- whether it ends the trial
    PRIMARY KEY (orchestration_id, number, attempt, step),
    -- NaN sorts above every number in Postgres: it must never get in.
    CHECK (value > '-Infinity' AND value < 'Infinity')
);
CREATE INDEX trial_steps_at
    ON crescendo.trial_steps (tuning_run_id, step, number, attempt) INCLUDE (value, mean, best);
