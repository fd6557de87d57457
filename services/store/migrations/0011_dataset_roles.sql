-- Columns that are neither features nor the target; empty and 0 where no column has the role.

ALTER TABLE crescendo.datasets
    ADD COLUMN group_column   text   NOT NULL DEFAULT '',
    ADD COLUMN time_column    text   NOT NULL DEFAULT '',
    ADD COLUMN weight_column  text   NOT NULL DEFAULT '',
    ADD COLUMN fold_column    text   NOT NULL DEFAULT '',
    ADD COLUMN positive_label text   NOT NULL DEFAULT '',
    ADD COLUMN group_count    bigint NOT NULL DEFAULT 0,
    ADD COLUMN fold_count     bigint NOT NULL DEFAULT 0;
