-- name: read_dispatch
SELECT key, flow_run_id, asked_at, failures, trouble FROM dispatch
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s

-- name: next_dispatch
INSERT INTO dispatch (collection_id, tenant_id)
VALUES (%(collection)s, %(tenant)s)
ON CONFLICT (collection_id) DO UPDATE
SET key = gen_random_uuid(), flow_run_id = NULL, asked_at = clock_timestamp(), failures = %(failures)s
RETURNING key

-- name: note_dispatch
-- what went wrong before is told until a flow run has done something
UPDATE dispatch SET flow_run_id = %(flow_run)s, trouble = CASE WHEN failures > 0 THEN trouble END
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND key = %(key)s

-- name: note_trouble
INSERT INTO dispatch (collection_id, tenant_id, key, trouble)
VALUES (%(collection)s, %(tenant)s, gen_random_uuid(), %(trouble)s)
ON CONFLICT (collection_id) DO UPDATE SET trouble = EXCLUDED.trouble
WHERE dispatch.trouble IS DISTINCT FROM EXCLUDED.trouble

-- name: end_trouble
UPDATE dispatch SET trouble = NULL, failures = 0
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND (trouble IS NOT NULL OR failures > 0)

-- name: waiting
SELECT c.name, count(*), min(e.received_at), coalesce(max(d.failures), 0), max(d.trouble)
FROM event e JOIN collection c ON c.id = e.collection_id LEFT JOIN dispatch d ON d.collection_id = e.collection_id
WHERE e.tenant_id = %(tenant)s AND e.state = 'pending'
  AND (%(collection)s::int IS NULL OR e.collection_id = %(collection)s)
GROUP BY c.name ORDER BY c.name LIMIT 10000

-- name: runs_of_flow_run
SELECT state, coalesce(finished_at, started_at) FROM run
WHERE tenant_id = %(tenant)s AND prefect_flow_run_id = %(flow_run)s
ORDER BY started_at DESC LIMIT 1000

-- name: flow_runs_of
SELECT prefect_flow_run_id FROM run
WHERE tenant_id = %(tenant)s AND id = ANY(%(runs)s::uuid[]) AND state = 'crashed' AND prefect_flow_run_id IS NOT NULL
