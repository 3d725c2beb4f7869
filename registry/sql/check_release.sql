-- name: touched_chunks
WITH touched AS MATERIALIZED (
    SELECT DISTINCT vc.chunk_id
    FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s
      AND (a.from_release = %(number)s OR a.to_release = %(number)s)
), counted AS (
    SELECT t.chunk_id, count(a.version_id) AS refs
    FROM touched t
    JOIN version_chunk vc ON vc.chunk_id = t.chunk_id
    LEFT JOIN activation a ON a.version_id = vc.version_id AND a.to_release IS NULL AND NOT a.suppressed
    GROUP BY t.chunk_id
)
SELECT count(*) FILTER (WHERE c.refs <> coalesce(s.refs, 0)),
       count(*) FILTER (WHERE s.chunk_id IS NOT NULL AND v.chunk_id IS NULL)
FROM counted c
LEFT JOIN visible s ON s.collection_id = %(collection)s AND s.chunk_id = c.chunk_id
LEFT JOIN {vectors} v ON v.collection_id = %(collection)s AND v.chunk_id = c.chunk_id

-- name: shown_contents
SELECT DISTINCT v.content_sha256
FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s
  AND a.from_release = %(number)s AND a.to_release IS NULL

-- name: touched_elections
-- of documents that the release elected, or whose winner it touched; two branches, each with its index
WITH touched AS MATERIALIZED (
    SELECT document_id FROM activation
    WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND from_release = %(number)s
    UNION
    SELECT document_id FROM activation
    WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND to_release = %(number)s
), lost AS (
    SELECT a.document_id, a.winner_id
    FROM activation a
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release = %(number)s
      AND a.to_release IS NULL AND (a.winner_id IS NOT NULL OR a.suppressed)
    UNION
    SELECT a.document_id, a.winner_id
    FROM touched t JOIN activation a ON a.winner_id = t.document_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
)
SELECT count(*) FROM lost
WHERE NOT EXISTS (
    SELECT FROM activation w
    WHERE w.tenant_id = %(tenant)s AND w.collection_id = %(collection)s AND w.document_id = lost.winner_id
      AND w.to_release IS NULL AND w.winner_id IS NULL AND NOT w.suppressed)
