-- name: find_runs
-- one flow run of Prefect is several runs where it looks at several sources
SELECT r.id, c.name, r.flow, r.trigger, r.scope, r.prefect_flow_run_id, r.started_at, r.finished_at, r.state,
       r.stats, r.error
FROM run r JOIN collection c ON c.id = r.collection_id
WHERE r.tenant_id = %(tenant)s AND (r.id = %(run)s OR r.prefect_flow_run_id = %(run)s)
ORDER BY r.started_at, r.id LIMIT 100

-- name: count_runs
SELECT c.name, r.state, count(*)
FROM run r JOIN collection c ON c.id = r.collection_id
WHERE r.tenant_id = %(tenant)s
GROUP BY c.name, r.state ORDER BY c.name, r.state LIMIT 10000

-- name: find_unknown
-- "0" is the character after "/"
SELECT u.uri FROM unnest(%(uris)s::text[]) WITH ORDINALITY AS u(uri, place)
WHERE NOT EXISTS (
        SELECT FROM document d JOIN activation a ON a.document_id = d.id AND a.to_release IS NULL
        WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s AND d.uri COLLATE "C" = u.uri)
  AND NOT EXISTS (
        SELECT FROM document d JOIN activation a ON a.document_id = d.id AND a.to_release IS NULL
        WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s
          AND d.uri COLLATE "C" > u.uri || '/' AND d.uri COLLATE "C" < u.uri || '0')
ORDER BY u.place LIMIT %(most)s
