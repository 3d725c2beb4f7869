-- name: vector_hits
SELECT v.chunk_id, 1 - (v.embedding <=> %(query)s::{dtype}) AS score
FROM {vectors} v
JOIN visible s ON s.collection_id = v.collection_id AND s.chunk_id = v.chunk_id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND s.tenant_id = %(tenant)s
ORDER BY v.embedding <=> %(query)s::{dtype} LIMIT %(most)s

-- name: keyword_hits
SELECT chunk_id, score FROM keyword_hits(%(collection)s, %(grams)s::int[], %(most)s)

-- name: describe_chunks
SELECT vc.chunk_id, c.text, d.uri, s.name, v.version, vc.page, vc.heading, v.title
FROM version_chunk vc
JOIN activation a ON a.version_id = vc.version_id AND a.to_release IS NULL
JOIN chunk c ON c.id = vc.chunk_id
JOIN document_version v ON v.id = vc.version_id
JOIN document d ON d.id = v.document_id
JOIN source s ON s.id = d.source_id
WHERE vc.tenant_id = %(tenant)s AND vc.collection_id = %(collection)s AND vc.chunk_id = ANY(%(ids)s::bigint[])
ORDER BY v.authority DESC, s.name, d.uri, vc.ordinal
