-- name: visible_without_vector
SELECT count(*) FROM visible s
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.collection_id = s.collection_id AND v.chunk_id = s.chunk_id)

-- name: wrong_refs
WITH counted AS (
    SELECT vc.chunk_id, count(*) AS refs
    FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
    GROUP BY vc.chunk_id
)
SELECT count(*) FROM counted
FULL JOIN (SELECT chunk_id, refs FROM visible
           WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s) s USING (chunk_id)
WHERE counted.refs IS DISTINCT FROM s.refs

-- name: active_digests
SELECT v.digest FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
ORDER BY v.id

-- name: collection_state
SELECT c.digest_state, c.current_release, c.active_space_id, r.digest, r.documents, r.chunks, s.fingerprint
FROM collection c
LEFT JOIN release r ON r.collection_id = c.id AND r.number = c.current_release
LEFT JOIN embedding_space s ON s.id = c.active_space_id
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: counts
SELECT (SELECT count(*) FROM activation a
        WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL),
       (SELECT count(*) FROM visible s WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s)

-- name: active_contents
SELECT DISTINCT v.content_sha256 FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
