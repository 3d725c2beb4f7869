-- name: create_run
INSERT INTO run (id, tenant_id, collection_id, flow, trigger, prefect_flow_run_id, scope)
VALUES (%(run)s, %(tenant)s, %(collection)s, %(flow)s, %(trigger)s, %(prefect_flow_run)s, %(scope)s)

-- name: finish_run
UPDATE run r SET finished_at = now(), stats = %(stats)s, error = %(error)s,
    -- what came after the release may have failed; the release is shown all the same
    state = CASE WHEN %(state)s = 'failed' AND r.flow IN ('ingest', 'reindex', 'rollback', 'reembed') AND EXISTS (
        SELECT FROM release WHERE run_id = %(run)s AND tenant_id = %(tenant)s) THEN 'succeeded' ELSE %(state)s END
WHERE r.id = %(run)s AND r.tenant_id = %(tenant)s AND r.state = 'running'

-- name: drop_superseded
WITH superseded AS (
    UPDATE run older SET state = 'stopped'
    FROM run newer
    WHERE newer.id = %(run)s AND newer.tenant_id = %(tenant)s AND older.tenant_id = %(tenant)s
      AND older.collection_id = newer.collection_id AND older.flow = newer.flow AND older.scope = newer.scope
      AND older.state = 'staged' AND older.id <> newer.id
    RETURNING older.id
)
DELETE FROM staged_change WHERE tenant_id = %(tenant)s AND run_id IN (SELECT id FROM superseded)

-- name: settle_staged
UPDATE run SET state = %(state)s, finished_at = now(), stats = %(stats)s
WHERE id = %(run)s AND tenant_id = %(tenant)s AND state = 'staged'

-- name: complete_staged
UPDATE run SET stats = %(stats)s
WHERE id = %(run)s AND tenant_id = %(tenant)s AND state = 'succeeded'

-- name: list_running
SELECT id FROM run
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'running'
ORDER BY started_at LIMIT 1000

-- name: mark_crashed
UPDATE run r SET finished_at = now(),
    state = CASE WHEN shown.is_shown THEN 'succeeded' ELSE 'crashed' END,
    error = CASE WHEN shown.is_shown THEN NULL ELSE 'the process ended without finishing the run' END
FROM (SELECT EXISTS (
          SELECT FROM release x JOIN run y ON y.id = x.run_id
          WHERE x.run_id = %(run)s AND x.tenant_id = %(tenant)s AND y.flow IN ('ingest', 'reindex', 'rollback', 'reembed')) AS is_shown
     ) AS shown
WHERE r.id = %(run)s AND r.tenant_id = %(tenant)s AND r.state = 'running'

-- name: list_staged
SELECT id::text FROM run
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'staged'
ORDER BY started_at DESC LIMIT 100

-- name: get_run
SELECT id, flow, trigger, scope, started_at, finished_at, state, stats, error, prefect_flow_run_id
FROM run WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND id = %(run)s

-- name: latest_runs
SELECT id, flow, trigger, scope, started_at, finished_at, state, stats, error, prefect_flow_run_id
FROM run WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
ORDER BY started_at DESC, id LIMIT %(most)s

-- name: upsert_rejections
INSERT INTO rejection (tenant_id, collection_id, source_id, uri, run_id, stage, error_class, message, retryable,
                       size, mtime_ns, ctime_ns, inode, etag, content_sha256, parser, fingerprint)
VALUES (%(tenant)s, %(collection)s, %(source)s, %(uri)s, %(run)s, %(stage)s, %(error)s, %(message)s, %(retryable)s,
        %(size)s, %(mtime_ns)s, %(ctime_ns)s, %(inode)s, %(etag)s, %(content_sha256)s, %(parser)s, %(fingerprint)s)
ON CONFLICT (source_id, uri) DO UPDATE SET
    run_id = excluded.run_id, stage = excluded.stage, error_class = excluded.error_class,
    message = excluded.message, retryable = excluded.retryable, last_seen = now(),
    attempts = CASE WHEN rejection.content_sha256 = excluded.content_sha256 THEN rejection.attempts + 1 ELSE 1 END,
    size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = excluded.inode,
    etag = excluded.etag, content_sha256 = excluded.content_sha256, parser = excluded.parser,
    fingerprint = excluded.fingerprint

-- name: drop_rejections
DELETE FROM rejection
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND uri = ANY(%(uris)s)

-- name: list_rejections
-- documents that are not indexed, and parts of documents that are
SELECT uri, stage, error_class, message, retryable, run_id::text, attempts, last_seen, part
FROM (
    SELECT j.source_id, j.uri, j.stage, j.error_class, j.message, j.retryable, j.run_id, j.attempts, j.last_seen,
           '' AS part
    FROM rejection j
    WHERE j.tenant_id = %(tenant)s AND j.collection_id = %(collection)s
    UNION ALL
    SELECT d.source_id, d.uri, 'parse', p.error, p.message, false, v.created_run, 1, v.created_at, p.part
    FROM document_version v
    JOIN activation a ON a.version_id = v.id AND a.to_release IS NULL
    JOIN document d ON d.id = v.document_id
    CROSS JOIN jsonb_to_recordset(v.problems) AS p(part text, error text, message text)
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.problems <> '[]'
) AS failure
WHERE %(source)s::int IS NULL OR source_id = %(source)s
ORDER BY last_seen DESC, source_id, uri, part LIMIT %(most)s

-- name: sources_to_retry
SELECT s.root_url, f.uri
FROM (
    SELECT j.source_id, j.uri FROM rejection j
    WHERE j.tenant_id = %(tenant)s AND j.collection_id = %(collection)s
    UNION
    SELECT d.source_id, d.uri
    FROM document_version v
    JOIN activation a ON a.version_id = v.id AND a.to_release IS NULL
    JOIN document d ON d.id = v.document_id
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.problems <> '[]'
) AS f
JOIN source s ON s.id = f.source_id
WHERE %(uris)s::text[] IS NULL OR f.uri = ANY(%(uris)s::text[])
ORDER BY s.root_url, f.uri LIMIT 1000000

-- name: reopen_containers
UPDATE container c SET size = NULL, mtime_ns = NULL, ctime_ns = NULL, inode = NULL, etag = NULL
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.uri = ANY(%(uris)s::text[])
