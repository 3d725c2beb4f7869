-- name: find_by_number
SELECT number, kind, run_id::text, activated_at, digest, documents, chunks, note, missing
FROM release WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = %(number)s

-- name: find_by_tag
SELECT r.number, r.kind, r.run_id::text, r.activated_at, r.digest, r.documents, r.chunks, r.note, r.missing
FROM release_tag t JOIN release r ON r.collection_id = t.collection_id AND r.number = t.number
WHERE t.tenant_id = %(tenant)s AND t.collection_id = %(collection)s AND t.name = %(name)s

-- name: find_by_time
SELECT number, kind, run_id::text, activated_at, digest, documents, chunks, note, missing
FROM release WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND activated_at <= %(time)s
ORDER BY number DESC LIMIT 1

-- name: set_tag
INSERT INTO release_tag (tenant_id, collection_id, name, number)
VALUES (%(tenant)s, %(collection)s, %(name)s, %(number)s)
ON CONFLICT (collection_id, name) DO NOTHING

-- name: delete_tag
DELETE FROM release_tag
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND name = %(name)s RETURNING number

-- name: release_missing
SELECT number, missing FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = ANY(%(numbers)s)

-- name: diff_releases
WITH pair AS MATERIALIZED (
    SELECT t.document_id, old.version_id AS old, new.version_id AS new
    FROM (SELECT DISTINCT document_id FROM activation
          WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
            AND ((from_release > %(low)s AND from_release <= %(high)s)
                 OR (to_release > %(low)s AND to_release <= %(high)s))) AS t
    LEFT JOIN activation old ON old.document_id = t.document_id
        AND old.from_release <= %(old)s AND (old.to_release IS NULL OR old.to_release > %(old)s)
    LEFT JOIN activation new ON new.document_id = t.document_id
        AND new.from_release <= %(new)s AND (new.to_release IS NULL OR new.to_release > %(new)s)
    WHERE old.version_id IS DISTINCT FROM new.version_id
)
SELECT CASE WHEN p.old IS NULL THEN 'added' WHEN p.new IS NULL THEN 'removed' ELSE 'changed' END,
       s.name, d.uri, o.version, n.version, coalesce(n.chunks, 0) - kept.places, coalesce(o.chunks, 0) - kept.places,
       kept.places
FROM pair p
JOIN document d ON d.id = p.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN document_version o ON o.id = p.old
LEFT JOIN document_version n ON n.id = p.new
CROSS JOIN LATERAL (
    SELECT count(*) AS places FROM (
        SELECT chunk_id FROM version_chunk WHERE version_id = p.old
        INTERSECT ALL
        SELECT chunk_id FROM version_chunk WHERE version_id = p.new) AS both_have) AS kept
ORDER BY s.name, d.uri

-- name: diff_staged
SELECT CASE WHEN p.base_version_id IS NULL THEN 'added' WHEN p.version_id IS NULL THEN 'removed' ELSE 'changed' END,
       s.name, d.uri, o.version, n.version, coalesce(n.chunks, 0) - kept.places, coalesce(o.chunks, 0) - kept.places,
       kept.places
FROM staged_change p
JOIN document d ON d.id = p.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN document_version o ON o.id = p.base_version_id
LEFT JOIN document_version n ON n.id = p.version_id
CROSS JOIN LATERAL (
    SELECT count(*) AS places FROM (
        SELECT chunk_id FROM version_chunk WHERE version_id = p.base_version_id
        INTERSECT ALL
        SELECT chunk_id FROM version_chunk WHERE version_id = p.version_id) AS both_have) AS kept
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND p.run_id = %(run)s
  AND p.version_id IS DISTINCT FROM p.base_version_id
ORDER BY s.name, d.uri
