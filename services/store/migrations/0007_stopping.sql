-- Stopping rules of orchestrations and tuning runs, and how scores went since the last improvement.

ALTER TABLE crescendo.orchestrations
    ADD COLUMN stopping_proto    bytea,            -- StoppingRules; never changes
    ADD COLUMN plateau_reference double precision, -- the score of the last improvement
    ADD COLUMN flat_trials       bigint           NOT NULL DEFAULT 0 CHECK (flat_trials >= 0);

ALTER TABLE crescendo.tuning_runs
    ADD COLUMN stopping_proto    bytea,            -- StoppingRules; never changes
    ADD COLUMN plateau_reference double precision, -- the score of the last improvement
    ADD COLUMN flat_trials       bigint           NOT NULL DEFAULT 0 CHECK (flat_trials >= 0),
    ADD COLUMN stop_reason       text             NOT NULL DEFAULT ''; -- the rule of its own that was fulfilled
