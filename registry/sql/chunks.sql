-- name: create_chunks
INSERT INTO chunk (tenant_id, collection_id, hash, kind, text, tokens, grams, content_sha256)
SELECT %(tenant)s, %(collection)s, hash, kind, text, tokens, grams::int[], content
-- binary where the texts are: as text, each is searched for quotes to escape, by Python
FROM unnest(%(hash)b::bytea[], %(kind)b::text[], %(text)b::text[], %(tokens)s::int[], %(grams)b::text[],
            %(content)s::bytea[])
     AS c(hash, kind, text, tokens, grams, content)
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

-- name: chunk_images
-- with the raw bytes of a version that holds the image
SELECT c.id, c.content_sha256, v.content_sha256 FROM chunk c
CROSS JOIN LATERAL (
    SELECT v.content_sha256 FROM version_chunk vc JOIN document_version v ON v.id = vc.version_id
    WHERE vc.chunk_id = c.id ORDER BY v.id LIMIT 1
) AS v
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])
ORDER BY c.id

-- name: reuse_vectors
-- an image has one vector, whatever its class and caption
INSERT INTO {vectors} (tenant_id, collection_id, chunk_id, embedding)
SELECT %(tenant)s, %(collection)s, c.id, old.embedding
FROM chunk c
CROSS JOIN LATERAL (
    SELECT v.embedding FROM chunk o
    JOIN {vectors} v ON v.collection_id = %(collection)s AND v.chunk_id = o.id
    WHERE o.tenant_id = %(tenant)s AND o.collection_id = %(collection)s AND o.content_sha256 = c.content_sha256
    ORDER BY o.id LIMIT 1
) AS old
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])
  AND c.content_sha256 IS NOT NULL
ON CONFLICT DO NOTHING
RETURNING chunk_id

-- name: chunks_there
SELECT c.id FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])

-- name: drop_vectors
DELETE FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.chunk_id = ANY(%(ids)s::bigint[])

-- name: copy_vectors
COPY {partition} (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary)

-- name: count_deleted
UPDATE collection_space SET deleted = deleted + %(deleted)s
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s
