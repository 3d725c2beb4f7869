-- name: collection_spaces
SELECT s.id, s.model, s.dtype, s.dim, s.id IS NOT DISTINCT FROM c.active_space_id,
       (SELECT max(r.number) FROM release r WHERE r.collection_id = c.id AND r.space_id = s.id),
       ARRAY(SELECT t.name FROM release_tag t JOIN release r ON r.collection_id = t.collection_id AND r.number = t.number
             WHERE r.collection_id = c.id AND r.space_id = s.id ORDER BY t.name),
       u.used_at
FROM collection_space u JOIN collection c ON c.id = u.collection_id JOIN embedding_space s ON s.id = u.space_id
WHERE u.tenant_id = %(tenant)s AND u.collection_id = %(collection)s
ORDER BY s.id LIMIT 1000

-- name: count_unembedded
SELECT count(*), count(*) FILTER (WHERE v.chunk_id IS NULL)
FROM visible s LEFT JOIN {vectors} v ON v.collection_id = {collection} AND v.chunk_id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s

-- name: convert_vectors
INSERT INTO {new} (tenant_id, collection_id, chunk_id, embedding)
SELECT v.tenant_id, v.collection_id, v.chunk_id, v.embedding::{kind}
FROM {old} v JOIN chunk c ON c.id = v.chunk_id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND v.chunk_id = ANY(%(ids)s::bigint[])
  AND NOT EXISTS (SELECT FROM {fresh} n WHERE n.collection_id = {collection} AND n.chunk_id = v.chunk_id)

-- name: sample_chunks
SELECT c.id, c.text FROM visible s JOIN chunk c ON c.id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
ORDER BY c.hash LIMIT %(most)s

-- name: keep_comparison
UPDATE collection_space SET comparison = %(comparison)s
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s

-- name: count_truncated
SELECT count(*) FROM visible s JOIN chunk c ON c.id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s AND c.tokens > %(most)s

-- name: shown_vector
SELECT v.embedding::text FROM visible s
JOIN {vectors} v ON v.collection_id = {collection} AND v.chunk_id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
ORDER BY s.chunk_id LIMIT 1

-- name: wait_for_build
-- what the COPY of vectors takes as well; it is let go at once
LOCK TABLE {partition} IN ROW EXCLUSIVE MODE
