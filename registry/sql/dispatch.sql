-- name: read_dispatch
SELECT key, flow_run_id, asked_at, failures FROM dispatch
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s

-- name: next_dispatch
INSERT INTO dispatch (collection_id, tenant_id)
VALUES (%(collection)s, %(tenant)s)
ON CONFLICT (collection_id) DO UPDATE
SET key = gen_random_uuid(), flow_run_id = NULL, asked_at = clock_timestamp(), failures = %(failures)s
RETURNING key

-- name: note_dispatch
UPDATE dispatch SET flow_run_id = %(flow_run)s
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND key = %(key)s

-- name: runs_of_flow_run
SELECT state, coalesce(finished_at, started_at) FROM run
WHERE tenant_id = %(tenant)s AND prefect_flow_run_id = %(flow_run)s
ORDER BY started_at DESC LIMIT 1000

-- name: flow_runs_of
SELECT prefect_flow_run_id FROM run
WHERE tenant_id = %(tenant)s AND id = ANY(%(runs)s::uuid[]) AND state = 'crashed' AND prefect_flow_run_id IS NOT NULL
