-- What was asked of a stage, beside what decides how it runs: read by those who refine and search.

ALTER TABLE crescendo.stages
    ADD COLUMN plan_proto bytea; -- StagePlan without its tuning runs; never changes
