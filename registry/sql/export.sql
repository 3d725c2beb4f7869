-- name: exported_release
SELECT r.number, r.kind, r.run_id::text, r.activated_at, r.digest, r.documents, r.chunks, r.note, r.missing, r.space_id
FROM collection c
JOIN release r ON r.collection_id = c.id AND r.number = coalesce(%(release)s::int, c.current_release)
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: hold_vectors
SELECT FROM {vectors} v WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} LIMIT 1

-- name: exported_documents
SELECT s.name, d.uri, v.version, v.title, v.author, v.authored_at, v.language, v.tags, v.mime, v.metadata::text,
       encode(v.content_sha256, 'hex'), encode(v.fingerprint, 'hex'), encode(v.digest, 'hex'), v.chunks,
       w.uri, ws.name, a.similarity, a.suppressed
FROM activation a
JOIN document_version v ON v.id = a.version_id
JOIN document d ON d.id = v.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN document w ON w.id = a.winner_id
LEFT JOIN source ws ON ws.id = w.source_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release <= %(release)s
  AND (a.to_release IS NULL OR a.to_release > %(release)s)
ORDER BY s.name, d.uri

-- name: exported_chunks
SELECT d.uri, s.name, v.version, vc.ordinal, encode(c.hash, 'hex'), vc.char_start, vc.char_end, vc.page, vc.heading,
       c.kind, c.tokens, c.text
FROM activation a
JOIN document_version v ON v.id = a.version_id
JOIN document d ON d.id = v.document_id
JOIN source s ON s.id = d.source_id
JOIN version_chunk vc ON vc.version_id = v.id
JOIN chunk c ON c.id = vc.chunk_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND NOT a.suppressed AND a.from_release <= %(release)s
  AND (a.to_release IS NULL OR a.to_release > %(release)s)
ORDER BY s.name, d.uri, vc.ordinal

-- name: copy_vectors_out
-- float32, whatever the column holds; the hash as text of 32 characters, so that all rows are of one length
COPY (
    SELECT encode(c.hash, 'hex'), x.embedding::vector
    FROM (SELECT DISTINCT vc.chunk_id
          FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
          WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND NOT a.suppressed
            AND a.from_release <= %(release)s AND (a.to_release IS NULL OR a.to_release > %(release)s)) AS shown
    JOIN chunk c ON c.id = shown.chunk_id
    JOIN {vectors} x ON x.chunk_id = shown.chunk_id
    WHERE x.tenant_id = %(tenant)s AND x.collection_id = {collection}
) TO STDOUT (FORMAT binary)
