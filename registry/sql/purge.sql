-- name: version_facts
WITH shown AS MATERIALIZED (
    SELECT a.version_id, bool_or(a.to_release IS NULL) AS active, max(a.to_release) AS ended
    FROM activation a WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s
    GROUP BY a.version_id
), tagged AS MATERIALIZED (
    SELECT a.version_id, array_agg(DISTINCT t.name ORDER BY t.name) AS names
    FROM release_tag t
    JOIN activation a ON a.collection_id = t.collection_id AND a.from_release <= t.number
                     AND (a.to_release IS NULL OR a.to_release > t.number)
    WHERE t.tenant_id = %(tenant)s AND t.collection_id = %(collection)s
    GROUP BY a.version_id
), staged AS MATERIALIZED (
    SELECT DISTINCT unnest(ARRAY[s.version_id, s.base_version_id]) AS version_id
    FROM staged_change s JOIN run r ON r.id = s.run_id
    WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
      AND NOT (r.state = 'staged' AND r.finished_at < %(staged_before)s)
)
SELECT v.id, v.document_id, d.uri, s.name, v.version, v.created_at, coalesce(shown.active, false),
       staged.version_id IS NOT NULL,
       CASE WHEN NOT shown.active THEN shown.ended END,
       CASE WHEN NOT shown.active THEN r.activated_at END,
       coalesce(tagged.names, '{}')
FROM document_version v
JOIN document d ON d.id = v.document_id
JOIN source s ON s.id = d.source_id
LEFT JOIN shown ON shown.version_id = v.id
LEFT JOIN staged ON staged.version_id = v.id
LEFT JOIN tagged ON tagged.version_id = v.id
LEFT JOIN release r ON r.collection_id = v.collection_id AND r.number = shown.ended
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s

-- name: wait_for_tags
LOCK TABLE release_tag IN SHARE MODE

-- name: still_droppable
SELECT v.id, v.content_sha256, v.document_id
FROM unnest(%(versions)s::bigint[], %(ended)s::int[]) AS p(id, ended)
JOIN document_version v ON v.id = p.id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
  -- shown no more, and not again since the plan
  AND NOT EXISTS (SELECT FROM activation a WHERE a.version_id = v.id AND a.to_release IS NULL)
  AND p.ended IS NOT DISTINCT FROM (SELECT max(a.to_release) FROM activation a WHERE a.version_id = v.id)
  AND NOT EXISTS (SELECT FROM staged_change s WHERE s.version_id = v.id)
  AND NOT EXISTS (SELECT FROM staged_change s WHERE s.base_version_id = v.id)
  AND NOT (%(keep_tagged)s AND EXISTS (
      SELECT FROM activation a JOIN release_tag t ON t.collection_id = a.collection_id
      WHERE a.version_id = v.id AND t.number >= a.from_release AND t.number < a.to_release))

-- name: spaces_of_collection
SELECT s.id, s.dim, s.dtype FROM embedding_space s, collection c
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s
  AND to_regclass(format('vectors_%%s_%%s', s.id, c.id)) IS NOT NULL
ORDER BY s.id

-- name: count_missing
UPDATE release r SET missing = r.missing + lost.documents
FROM (SELECT n.number, count(*) AS documents
      FROM activation a
      JOIN release n ON n.collection_id = a.collection_id AND n.number >= a.from_release AND n.number < a.to_release
      WHERE a.version_id = ANY(%(versions)s::bigint[]) AND a.tenant_id = %(tenant)s
      GROUP BY n.number) AS lost
WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.number = lost.number

-- name: drop_activations
DELETE FROM activation WHERE tenant_id = %(tenant)s AND version_id = ANY(%(versions)s::bigint[])

-- name: drop_places
WITH gone AS (
    DELETE FROM version_chunk WHERE tenant_id = %(tenant)s AND version_id = ANY(%(versions)s::bigint[])
    RETURNING chunk_id)
SELECT DISTINCT chunk_id FROM gone

-- name: unused_chunks
SELECT c.id FROM unnest(%(chunks)s::bigint[]) AS p(id) JOIN chunk c ON c.id = p.id
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM version_chunk vc WHERE vc.chunk_id = c.id)
  AND NOT EXISTS (SELECT FROM visible s WHERE s.chunk_id = c.id)

-- name: drop_vectors
DELETE FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND v.chunk_id = ANY(%(chunks)s::bigint[])

-- name: drop_chunks
DELETE FROM chunk WHERE tenant_id = %(tenant)s AND id = ANY(%(chunks)s::bigint[])

-- name: drop_versions
DELETE FROM document_version WHERE tenant_id = %(tenant)s AND id = ANY(%(versions)s::bigint[])
RETURNING text_sha256

-- name: drop_parsed
DELETE FROM parsed p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND p.content_sha256 = ANY(%(contents)s::bytea[])
  AND NOT EXISTS (SELECT FROM document_version v
                  WHERE v.collection_id = p.collection_id AND v.content_sha256 = p.content_sha256)

-- name: drop_documents
DELETE FROM document d
WHERE d.tenant_id = %(tenant)s AND d.id = ANY(%(documents)s::bigint[])
  AND NOT EXISTS (SELECT FROM document_version v WHERE v.document_id = d.id)
  AND NOT EXISTS (SELECT FROM activation a WHERE a.document_id = d.id)
  AND NOT EXISTS (SELECT FROM staged_change s WHERE s.document_id = d.id)
  -- what a rollback took back stays known, or the next ingest would bring it again
  AND NOT EXISTS (SELECT FROM hold h WHERE h.document_id = d.id)

-- name: stray_documents
SELECT d.id FROM document d
WHERE d.tenant_id = %(tenant)s AND d.collection_id = %(collection)s AND d.id > %(after)s
  AND NOT EXISTS (SELECT FROM document_version v WHERE v.document_id = d.id)
  AND NOT EXISTS (SELECT FROM hold h WHERE h.document_id = d.id)
ORDER BY d.id LIMIT %(most)s

-- name: stray_chunks
SELECT c.id FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id > %(after)s
  AND c.stored_at < %(before)s
  AND NOT EXISTS (SELECT FROM version_chunk vc WHERE vc.chunk_id = c.id)
ORDER BY c.id LIMIT %(most)s

-- name: stray_parsed
SELECT DISTINCT p.content_sha256 FROM parsed p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND p.content_sha256 > %(after)s
  AND NOT EXISTS (SELECT FROM document_version v
                  WHERE v.collection_id = p.collection_id AND v.content_sha256 = p.content_sha256)
  -- these bytes hold the text that a document shows: a change of the pipeline parses them again
  AND NOT p.content_sha256 IN (
      SELECT d.content_sha256 FROM document d
      WHERE d.collection_id = p.collection_id AND d.content_sha256 IS NOT NULL
      UNION ALL SELECT s.content_sha256 FROM staged_change s
      WHERE s.collection_id = p.collection_id AND s.content_sha256 IS NOT NULL
      UNION ALL SELECT j.content_sha256 FROM rejection j
      WHERE j.collection_id = p.collection_id AND j.content_sha256 IS NOT NULL)
ORDER BY p.content_sha256 LIMIT %(most)s

-- name: stray_signatures
SELECT DISTINCT g.text_sha256 FROM signature g
WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s AND g.text_sha256 > %(after)s
  AND NOT EXISTS (SELECT FROM document_version v
                  WHERE v.collection_id = g.collection_id AND v.text_sha256 = g.text_sha256)
ORDER BY g.text_sha256 LIMIT %(most)s

-- name: discard_staged
WITH old AS (
    UPDATE run SET state = 'stopped'
    WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'staged'
      AND finished_at < %(staged_before)s
    RETURNING id)
DELETE FROM staged_change s USING old WHERE s.tenant_id = %(tenant)s AND s.run_id = old.id

-- name: contents_in_use
SELECT DISTINCT v.content_sha256 FROM collection c
JOIN document_version v ON v.collection_id = c.id AND v.content_sha256 = ANY(%(contents)s::bytea[])
WHERE c.tenant_id = %(tenant)s AND v.id <> ALL(%(except)s::bigint[])

-- name: oldest_live_run
SELECT min(started_at) FROM run
WHERE tenant_id = %(tenant)s AND state = 'running' AND flow <> ALL(%(flows)s::text[])

-- name: collections_with_runs
SELECT DISTINCT collection_id FROM run WHERE tenant_id = %(tenant)s AND state = 'running'

-- name: table_sizes
SELECT t.name, pg_total_relation_size(t.name::regclass), pg_table_size(t.name::regclass)
FROM unnest(%(tables)s::text[]) AS t(name) WHERE to_regclass(t.name) IS NOT NULL

-- name: read_vectors
COPY (SELECT v.tenant_id, v.collection_id, v.chunk_id, v.embedding FROM {vectors} v
      WHERE v.tenant_id = {tenant} AND v.collection_id = {collection} ORDER BY v.chunk_id)
TO STDOUT (FORMAT binary)

-- name: write_vectors
COPY {fresh} (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary, FREEZE)

-- name: begin_vector_rebuild
SELECT begin_vector_rebuild(%(space)s, %(collection)s, %(lock_ms)s)

-- name: finish_vector_rebuild
SELECT finish_vector_rebuild(%(space)s, %(collection)s, %(lock_ms)s, %(attempts)s, %(memory_kb)s, %(workers)s)

-- name: contents_kept
SELECT DISTINCT v.content_sha256 FROM document_version v
WHERE v.tenant_id = %(tenant)s AND v.id <> ALL(%(dropped)s::bigint[])

-- name: foreseen
SELECT ARRAY(SELECT DISTINCT vc.chunk_id FROM version_chunk vc
             WHERE vc.tenant_id = %(tenant)s AND vc.version_id = ANY(%(versions)s::bigint[])
               AND NOT EXISTS (SELECT FROM version_chunk k WHERE k.chunk_id = vc.chunk_id
                               AND k.version_id <> ALL(%(versions)s::bigint[]))),
       (SELECT count(*) FROM parsed p
        WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
          AND p.content_sha256 IN (SELECT v.content_sha256 FROM document_version v
                                   WHERE v.id = ANY(%(versions)s::bigint[]))
          AND NOT EXISTS (SELECT FROM document_version k
                          WHERE k.collection_id = p.collection_id AND k.content_sha256 = p.content_sha256
                            AND k.id <> ALL(%(versions)s::bigint[]))),
       (SELECT count(*) FROM signature g
        WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s
          AND g.text_sha256 IN (SELECT v.text_sha256 FROM document_version v
                                WHERE v.id = ANY(%(versions)s::bigint[]))
          AND NOT EXISTS (SELECT FROM document_version k
                          WHERE k.collection_id = g.collection_id AND k.text_sha256 = g.text_sha256
                            AND k.id <> ALL(%(versions)s::bigint[])))

-- name: foreseen_vectors
SELECT count(*) FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection} AND v.chunk_id = ANY(%(chunks)s::bigint[])
