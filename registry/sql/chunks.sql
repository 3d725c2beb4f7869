-- name: create_chunks
INSERT INTO chunk (tenant_id, collection_id, hash, kind, text, tokens, grams)
SELECT %(tenant)s, %(collection)s, hash, kind, text, tokens, grams::int[]
FROM unnest(%(hash)s::bytea[], %(kind)s::text[], %(text)s::text[], %(tokens)s::int[], %(grams)s::text[])
     AS c(hash, kind, text, tokens, grams)
ON CONFLICT ON CONSTRAINT chunk_hash_key DO NOTHING

-- name: chunk_ids
SELECT hash, id FROM chunk
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND hash = ANY(%(hashes)s::bytea[])

-- name: hashes_with_vectors
SELECT c.hash FROM chunk c
JOIN {vectors} v ON v.collection_id = c.collection_id AND v.chunk_id = c.id
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.hash = ANY(%(hashes)s::bytea[])

-- name: ids_with_vectors
SELECT v.chunk_id FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.chunk_id = ANY(%(ids)s::bigint[])

-- name: chunks_without_vectors
SELECT DISTINCT c.hash, c.kind, c.text, c.tokens
FROM version_chunk vc
JOIN chunk c ON c.id = vc.chunk_id
WHERE vc.tenant_id = %(tenant)s AND vc.version_id = ANY(%(versions)s::bigint[])
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.collection_id = c.collection_id AND v.chunk_id = c.id)
ORDER BY c.hash

-- name: copy_vectors
COPY {partition} (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary)

-- name: count_vectors
SELECT count(*) FROM (
    SELECT FROM {vectors} v WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
    LIMIT %(most)s) AS counted

-- name: create_vector_index
SELECT create_vector_index(%(space)s, %(collection)s)
