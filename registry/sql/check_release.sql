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
-- of documents that the release elected, or whose winner it touched
SELECT count(*)
FROM activation a
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
  AND (a.winner_id IS NOT NULL OR a.suppressed)
  AND (a.from_release = %(number)s OR a.winner_id IN (
      SELECT t.document_id FROM activation t
      WHERE t.tenant_id = %(tenant)s AND t.collection_id = %(collection)s
        AND (t.from_release = %(number)s OR t.to_release = %(number)s)))
  AND NOT EXISTS (
      SELECT FROM activation w
      WHERE w.document_id = a.winner_id AND w.to_release IS NULL AND w.collection_id = a.collection_id
        AND w.tenant_id = a.tenant_id AND w.winner_id IS NULL AND NOT w.suppressed)
