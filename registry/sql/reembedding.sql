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
