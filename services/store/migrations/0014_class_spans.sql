-- Where each class's first and last rows are; empty for datasets stored before.

ALTER TABLE crescendo.datasets
    ADD COLUMN class_first_rows bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN class_last_rows  bigint[] NOT NULL DEFAULT '{}';
