-- What a tuning run tries first: the model's current parameters, and the points a client named.

ALTER TABLE crescendo.tuning_runs
    ADD COLUMN start_proto bytea; -- StartPoints; NULL without any
