-- name: maintenance_memory
-- of a server, in kB; no tenant's
SELECT setting::bigint FROM pg_settings WHERE name = 'maintenance_work_mem'

-- name: find_indexes
-- whether there is an index that serves; whether there is something that was left behind
SELECT coalesce(bool_or(x.indisvalid AND m.amname = 'hnsw'), false),
       coalesce(bool_or(NOT x.indisvalid), false) OR to_regclass(%(partition)s || '_new') IS NOT NULL
FROM collection c
LEFT JOIN pg_index x ON x.indrelid = to_regclass(%(partition)s)
LEFT JOIN pg_class i ON i.oid = x.indexrelid
LEFT JOIN pg_am m ON m.oid = i.relam
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: count_vectors
SELECT count(*) FROM (
    SELECT FROM {vectors} v WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection}
    LIMIT %(most)s) AS counted

-- name: create_vector_index
SELECT create_vector_index(%(space)s, %(collection)s, %(memory_kb)s, %(workers)s)

-- name: drop_broken_indexes
SELECT drop_broken_indexes(%(space)s, %(collection)s, %(lock_ms)s)

-- name: note_build
UPDATE collection_space
SET built_at = clock_timestamp(), built_rows = %(rows)s, seconds = %(seconds)s, recall = %(recall)s, deleted = 0
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s

-- name: index_state
SELECT u.built_at, u.built_rows, u.seconds, u.recall, u.deleted
FROM collection_space u
WHERE u.tenant_id = %(tenant)s AND u.collection_id = %(collection)s AND u.space_id = %(space)s

-- name: index_only
-- of this transaction: what a tenant's query would read instead of the index costs more than anything
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)
