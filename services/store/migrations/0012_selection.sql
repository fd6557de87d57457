-- How the result of a search is selected among its candidates.

ALTER TABLE crescendo.orchestrations
    ADD COLUMN selection_proto bytea; -- Selection; NULL for the best by score
