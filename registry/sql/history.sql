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
SELECT number, missing, vectors_dropped OR to_regclass(format('vectors_%%s_%%s', space_id, collection_id)) IS NULL
FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = ANY(%(numbers)s)

-- name: release_spaces
SELECT number, space_id FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = ANY(%(numbers)s)

-- name: diff_releases
WITH pair AS MATERIALIZED (
    SELECT t.document_id, old.version_id AS old, new.version_id AS new, old.winner_id AS old_winner,
           new.winner_id AS new_winner, coalesce(old.suppressed, false) AS was_suppressed,
           coalesce(new.suppressed, false) AS suppressed, new.rule, new.similarity
    FROM (SELECT DISTINCT document_id FROM activation
          WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
            AND ((from_release > %(low)s AND from_release <= %(high)s)
                 OR (to_release > %(low)s AND to_release <= %(high)s))) AS t
    LEFT JOIN activation old ON old.document_id = t.document_id
        AND old.from_release <= %(old)s AND (old.to_release IS NULL OR old.to_release > %(old)s)
    LEFT JOIN activation new ON new.document_id = t.document_id
        AND new.from_release <= %(new)s AND (new.to_release IS NULL OR new.to_release > %(new)s)
    WHERE (old.version_id, old.winner_id, old.rule, old.similarity, old.suppressed)
          IS DISTINCT FROM (new.version_id, new.winner_id, new.rule, new.similarity, new.suppressed)
)
SELECT CASE WHEN p.old IS NULL THEN 'added' WHEN p.new IS NULL THEN 'removed' WHEN p.old = p.new THEN 'elected'
            ELSE 'changed' END,
       s.name, d.uri, o.version, n.version, coalesce(n.chunks, 0) - kept.places, coalesce(o.chunks, 0) - kept.places,
       kept.places, ow.uri, nw.uri, p.was_suppressed, p.suppressed, p.rule, p.similarity
FROM pair p
JOIN document d ON d.id = p.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN document_version o ON o.id = p.old
LEFT JOIN document_version n ON n.id = p.new
LEFT JOIN document ow ON ow.id = p.old_winner
LEFT JOIN document nw ON nw.id = p.new_winner
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.old = p.new THEN n.chunks ELSE (
        SELECT count(*) FROM (
            SELECT chunk_id FROM version_chunk WHERE version_id = p.old
            INTERSECT ALL
            SELECT chunk_id FROM version_chunk WHERE version_id = p.new) AS both_have) END AS places) AS kept
ORDER BY s.name, d.uri

-- name: diff_staged
WITH pair AS MATERIALIZED (
    SELECT c.document_id, c.base_version_id AS old, c.version_id AS new, a.winner_id AS old_winner,
           c.winner_id AS new_winner, coalesce(a.suppressed, false) AS was_suppressed, c.suppressed, c.rule,
           c.similarity
    FROM staged_change c
    LEFT JOIN activation a ON a.document_id = c.document_id AND a.version_id = c.base_version_id
        AND a.to_release IS NULL
    WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.run_id = %(run)s
      AND (c.version_id IS DISTINCT FROM c.base_version_id OR c.reelected)
)
SELECT CASE WHEN p.old IS NULL THEN 'added' WHEN p.new IS NULL THEN 'removed' WHEN p.old = p.new THEN 'elected'
            ELSE 'changed' END,
       s.name, d.uri, o.version, n.version, coalesce(n.chunks, 0) - kept.places, coalesce(o.chunks, 0) - kept.places,
       kept.places, ow.uri, nw.uri, p.was_suppressed, p.suppressed, p.rule, p.similarity
FROM pair p
JOIN document d ON d.id = p.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN document_version o ON o.id = p.old
LEFT JOIN document_version n ON n.id = p.new
LEFT JOIN document ow ON ow.id = p.old_winner
LEFT JOIN document nw ON nw.id = p.new_winner
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.old = p.new THEN n.chunks ELSE (
        SELECT count(*) FROM (
            SELECT chunk_id FROM version_chunk WHERE version_id = p.old
            INTERSECT ALL
            SELECT chunk_id FROM version_chunk WHERE version_id = p.new) AS both_have) END AS places) AS kept
ORDER BY s.name, d.uri
