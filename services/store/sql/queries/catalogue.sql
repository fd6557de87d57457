-- Datasets and model runs.

-- name: dataset
SELECT dataset_id, name, task, target_column, row_count, column_names, column_types,
    missing_counts, class_labels, class_counts, content_hash, size_bytes, built_in, created_at,
    group_column, time_column, weight_column, fold_column, positive_label, group_count, fold_count,
    class_first_rows, class_last_rows
FROM crescendo.datasets
WHERE dataset_id = $1;

-- name: datasets
SELECT dataset_id, name, task, target_column, row_count, column_names, column_types,
    missing_counts, class_labels, class_counts, content_hash, size_bytes, built_in, created_at,
    group_column, time_column, weight_column, fold_column, positive_label, group_count, fold_count,
    class_first_rows, class_last_rows
FROM crescendo.datasets
WHERE tenant = $1
    AND ($2::boolean IS NULL
        OR built_in < $2
        OR (built_in = $2 AND created_at < $3)
        OR (built_in = $2 AND created_at = $3 AND dataset_id > $4))
ORDER BY built_in DESC, created_at DESC, dataset_id
LIMIT $5;

-- name: insert_dataset
INSERT INTO crescendo.datasets (
    dataset_id, tenant, name, task, target_column, row_count, column_names, column_types,
    missing_counts, class_labels, class_counts, content_hash, size_bytes, built_in,
    group_column, time_column, weight_column, fold_column, positive_label, group_count, fold_count,
    class_first_rows, class_last_rows
)
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23
)
-- Two replicas may make the same built-in: the first one to commit has it.
ON CONFLICT (dataset_id) DO NOTHING
RETURNING dataset_id;

-- name: insert_chunk
INSERT INTO crescendo.dataset_chunks (dataset_id, chunk_index, content)
VALUES ($1, $2, $3);

-- name: lock_dataset
SELECT dataset_id
FROM crescendo.datasets
WHERE dataset_id = $1
FOR UPDATE;

-- name: count_model_runs
SELECT count(*)
FROM crescendo.model_runs
WHERE dataset_id = $1;

-- name: delete_dataset
DELETE FROM crescendo.datasets
WHERE dataset_id = $1;

-- name: chunk
SELECT content
FROM crescendo.dataset_chunks
WHERE dataset_id = $1 AND chunk_index = $2;

-- name: insert_model_run
INSERT INTO crescendo.model_runs (
    model_run_id, tenant, experiment, dataset_id, model_type, fixed_parameters_proto, steps_proto
)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: model_run
SELECT model_run_id, experiment, dataset_id, model_type, fixed_parameters_proto, steps_proto,
    created_at
FROM crescendo.model_runs
WHERE model_run_id = $1;

-- name: model_runs
SELECT model_run_id, experiment, dataset_id, model_type, fixed_parameters_proto, steps_proto,
    created_at
FROM crescendo.model_runs
WHERE tenant = $1
    AND ($2::text = '' OR experiment = $2)
    AND ($3::timestamptz IS NULL OR created_at < $3
        OR (created_at = $3 AND model_run_id > $4::uuid))
ORDER BY created_at DESC, model_run_id
LIMIT $5;
