-- name: searched_release
SELECT r.number, s.id, r.documents, r.chunks, r.number = c.current_release, s.dtype, s.dim
FROM collection c
JOIN release r ON r.collection_id = c.id AND r.number = coalesce(%(release)s::int, c.current_release)
JOIN embedding_space s ON s.id = coalesce(%(space)s::int, r.space_id)
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: cosine_distance
-- v is a row of the tenant's vectors
v.embedding <=> %(query)s::{column}

-- name: hamming_distance
-- v is a row of the tenant's vectors; written as the index has it
binary_quantize(v.embedding)::bit({dim}) <~> binary_quantize(%(query)s::{column})

-- name: rank_again
-- what the signs brought up, of one tenant, by the vectors themselves
SELECT c.chunk_id, 1 - c.distance AS score FROM (
    SELECT v.chunk_id, v.embedding <=> %(query)s::{column} AS distance FROM ({candidates}) AS v
) AS c ORDER BY c.distance, c.chunk_id LIMIT %(most)s

-- name: stored_hits
-- shown or not
SELECT v.chunk_id, {value}
FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection}
ORDER BY {distance} LIMIT %(candidates)s

-- name: exact_stored_hits
WITH near AS MATERIALIZED (
    SELECT v.chunk_id, v.embedding <=> %(query)s::{column} AS distance
    FROM {vectors} v WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection}
)
SELECT chunk_id, 1 - distance FROM near ORDER BY distance, chunk_id LIMIT %(most)s

-- name: vector_hits
SELECT v.chunk_id, {value}
FROM {vectors} v
JOIN visible s ON s.collection_id = v.collection_id AND s.chunk_id = v.chunk_id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND s.tenant_id = %(tenant)s
ORDER BY {distance} LIMIT %(candidates)s

-- name: vector_hits_as_of
SELECT v.chunk_id, {value}
FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND EXISTS (
    SELECT FROM version_chunk vc JOIN activation a ON a.version_id = vc.version_id
    WHERE vc.chunk_id = v.chunk_id AND a.tenant_id = %(tenant)s AND a.from_release <= %(release)s
      AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed)
ORDER BY {distance} LIMIT %(candidates)s

-- name: filtered_vector_hits
-- OFFSET as in document_matches_alone: else all vectors that match are read
SELECT v.chunk_id, {value}
FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND EXISTS (
    SELECT FROM version_chunk vc JOIN activation a ON a.version_id = vc.version_id
    WHERE vc.chunk_id = v.chunk_id AND a.tenant_id = %(tenant)s AND a.from_release <= %(release)s
      AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed
      {where_alone}
    OFFSET 0)
ORDER BY {distance} LIMIT %(candidates)s

-- name: exact_hits
WITH near AS MATERIALIZED (
    SELECT v.chunk_id, v.embedding <=> %(query)s::{column} AS distance
    FROM visible s
    JOIN {vectors} v ON v.collection_id = s.collection_id AND v.chunk_id = s.chunk_id
    WHERE s.tenant_id = %(tenant)s AND s.collection_id = {collection} AND v.collection_id = {collection}
)
SELECT chunk_id, 1 - distance FROM near ORDER BY distance, chunk_id LIMIT %(most)s

-- name: exact_hits_as_of
-- the limits are the release's own counts: without them the planner expects many rows and reads all vectors
WITH active AS MATERIALIZED (
    SELECT a.version_id FROM activation a
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = {collection} AND a.from_release <= %(release)s
      AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed
      {where}
    LIMIT %(documents)s
), shown AS MATERIALIZED (
    SELECT DISTINCT vc.chunk_id FROM active JOIN version_chunk vc ON vc.version_id = active.version_id
    LIMIT %(chunks)s
), near AS MATERIALIZED (
    SELECT v.chunk_id, v.embedding <=> %(query)s::{column} AS distance
    FROM shown s JOIN {vectors} v ON v.chunk_id = s.chunk_id
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection}
)
SELECT chunk_id, 1 - distance FROM near ORDER BY distance, chunk_id LIMIT %(most)s

-- name: keyword_hits
SELECT chunk_id, score FROM keyword_hits(%(collection)s, %(grams)s::int[], %(most)s)

-- name: keyword_hits_as_of
SELECT chunk_id, score FROM keyword_hits_as_of(%(collection)s, %(release)s, %(grams)s::int[], %(most)s)

-- name: filtered_keyword_hits
-- scored as without a filter: what a word is worth does not depend on the documents asked for
WITH active AS MATERIALIZED (
    SELECT a.version_id FROM activation a
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release <= %(release)s
      AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed
      {where}
    LIMIT %(documents)s
), shown AS MATERIALIZED (
    SELECT DISTINCT vc.chunk_id FROM active JOIN version_chunk vc ON vc.version_id = active.version_id
    LIMIT %(chunks)s
), scored AS MATERIALIZED (
    {scored}
)
SELECT scored.chunk_id, scored.score FROM scored JOIN shown USING (chunk_id)
ORDER BY scored.score DESC, scored.chunk_id LIMIT %(wanted)s

-- name: describe_chunks
-- a document that is kept out of search comes last, one that stands for others before those
SELECT vc.chunk_id, c.text, d.uri, s.name, v.version, vc.page, vc.heading, v.title,
       v.author, v.authored_at, v.language, v.tags, split_part(v.parser, ' ', 1),
       CASE WHEN NOT a.suppressed THEN a.document_id END
FROM version_chunk vc
JOIN activation a ON a.version_id = vc.version_id AND a.from_release <= %(release)s
    AND (a.to_release IS NULL OR a.to_release > %(release)s)
JOIN chunk c ON c.id = vc.chunk_id
JOIN document_version v ON v.id = vc.version_id
JOIN document d ON d.id = v.document_id
JOIN source s ON s.id = d.source_id
WHERE vc.tenant_id = %(tenant)s AND vc.collection_id = %(collection)s AND vc.chunk_id = ANY(%(ids)s::bigint[])
  {where_alone}
ORDER BY a.suppressed, a.winner_id IS NOT NULL, v.authority DESC, s.name, d.uri, vc.ordinal

-- name: duplicates_of
-- of these documents, in this release
SELECT a.winner_id, d.uri
FROM activation a JOIN document d ON d.id = a.document_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.winner_id = ANY(%(winners)s::bigint[])
  AND a.from_release <= %(release)s AND (a.to_release IS NULL OR a.to_release > %(release)s)
  {where_alone}
ORDER BY a.similarity DESC, d.uri COLLATE "C"
