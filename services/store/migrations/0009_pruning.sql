-- Trials that are stopped early: by what rule, what the next ones must beat, and what that saved.

ALTER TABLE crescendo.tuning_runs
    ADD COLUMN pruning_proto bytea,              -- Pruning; null where no trial is stopped early
    ADD COLUMN leader_scores double precision[] NOT NULL DEFAULT '{}', -- of the best complete trials, best first
    ADD COLUMN leader_places bigint[]           NOT NULL DEFAULT '{}', -- their candidate index and number, in turn
    ADD COLUMN fits_saved    bigint             NOT NULL DEFAULT 0 CHECK (fits_saved >= 0);
