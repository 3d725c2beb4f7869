-- name: create_chunks
INSERT INTO chunk (tenant_id, collection_id, hash, kind, text, tokens, grams)
SELECT %(tenant)s, %(collection)s, hash, kind, text, tokens, grams::int[]
FROM unnest(%(hash)s::bytea[], %(kind)s::text[], %(text)s::text[], %(tokens)s::int[], %(grams)s::text[])
     AS c(hash, kind, text, tokens, grams)
ON CONFLICT ON CONSTRAINT chunk_hash_key DO NOTHING

-- name: chunk_ids
SELECT hash, id FROM chunk
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND hash = ANY(%(hashes)s::bytea[])

-- name: ids_with_vectors
SELECT v.chunk_id FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.chunk_id = ANY(%(ids)s::bigint[])

-- name: chunk_texts
SELECT c.id, c.text FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])
ORDER BY c.id

-- name: chunks_there
SELECT c.id FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])

-- name: drop_vectors
DELETE FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.chunk_id = ANY(%(ids)s::bigint[])

-- name: copy_vectors
COPY {partition} (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary)

-- name: count_vectors
SELECT count(*) FROM (
    SELECT FROM {vectors} v WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
    LIMIT %(most)s) AS counted

-- name: create_vector_index
SELECT create_vector_index(%(space)s, %(collection)s)
