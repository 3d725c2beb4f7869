-- name: lock_state
SELECT current_release, active_space_id, digest_state
FROM collection WHERE id = %(collection)s AND tenant_id = %(tenant)s
FOR NO KEY UPDATE

-- name: drop_conflicts
DELETE FROM staged_change s
USING document d
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND d.id = s.document_id
  AND s.base_version_id IS DISTINCT FROM (
      SELECT a.version_id FROM activation a WHERE a.document_id = s.document_id AND a.to_release IS NULL)
RETURNING d.uri, s.action, s.version_id IS NOT DISTINCT FROM (
      SELECT a.version_id FROM activation a WHERE a.document_id = s.document_id AND a.to_release IS NULL)

-- name: elected_release
-- a duplicate whose winner was deleted since has nobody who stands for it
SELECT r.elected_release FROM run r
WHERE r.tenant_id = %(tenant)s AND r.id = %(run)s AND NOT EXISTS (
    SELECT FROM staged_change s
    WHERE s.run_id = r.id AND s.winner_id IS NULL AND (s.suppressed OR s.rule IS NOT NULL))

-- name: elected_by
SELECT coalesce(r.elected_by, c.election)
FROM collection c LEFT JOIN run r ON r.id = %(run)s
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: update_election
UPDATE collection SET election = %(election)s
WHERE tenant_id = %(tenant)s AND id = %(collection)s AND election <> %(election)s

-- name: changed_entries
SELECT new.digest, nw.uri, s.suppressed, old.digest, ow.uri, coalesce(a.suppressed, false), s.reelected
FROM staged_change s
LEFT JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL
LEFT JOIN document_version new ON new.id = s.version_id
LEFT JOIN document nw ON nw.id = s.winner_id
LEFT JOIN document_version old ON old.id = a.version_id
LEFT JOIN document ow ON ow.id = a.winner_id
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s
  AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)

-- name: missing_vectors
SELECT c.chunk_id FROM (
    SELECT DISTINCT vc.chunk_id
    FROM staged_change s JOIN version_chunk vc ON vc.version_id = s.version_id
    WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND NOT s.suppressed
      AND (s.action <> 'restat' OR s.reelected)) AS c
WHERE NOT EXISTS (
    SELECT FROM {vectors} v WHERE v.collection_id = %(collection)s AND v.chunk_id = c.chunk_id)
ORDER BY c.chunk_id

-- name: unembedded
SELECT s.chunk_id FROM visible s
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.collection_id = {collection} AND v.chunk_id = s.chunk_id)
ORDER BY s.chunk_id LIMIT %(most)s

-- name: end_use
UPDATE collection_space SET used_at = clock_timestamp()
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s

-- name: create_release
INSERT INTO release (tenant_id, collection_id, number, run_id, kind, space_id, digest, documents, chunks, note,
                     election)
VALUES (%(tenant)s, %(collection)s, %(number)s, %(run)s, %(kind)s, %(space)s, %(digest)s,
        %(documents)s, %(chunks)s, %(note)s, %(election)s)
RETURNING activated_at

-- name: release_of_run
SELECT number, kind, run_id::text, activated_at, digest, documents, chunks, note, missing
FROM release WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND run_id = %(run)s

-- name: list_releases
SELECT number, kind, run_id::text, activated_at, digest, documents, chunks, note, missing,
       ARRAY(SELECT t.name FROM release_tag t
             WHERE t.collection_id = r.collection_id AND t.number = r.number ORDER BY t.name),
       space_id IS NOT NULL AND (vectors_dropped OR to_regclass(format('vectors_%%s_%%s', space_id, collection_id)) IS NULL)
FROM release r WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
ORDER BY number DESC LIMIT %(most)s

-- name: close_activations
UPDATE activation a SET to_release = %(number)s
FROM staged_change s
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND a.document_id = s.document_id
  AND a.to_release IS NULL AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)

-- name: open_activations
INSERT INTO activation (tenant_id, collection_id, document_id, version_id, from_release,
                        winner_id, rule, similarity, suppressed)
SELECT s.tenant_id, s.collection_id, s.document_id, s.version_id, %(number)s,
       s.winner_id, s.rule, s.similarity, s.suppressed
FROM staged_change s
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s
  AND s.version_id IS NOT NULL AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)

-- name: update_visible
WITH delta AS MATERIALIZED (
    SELECT chunk_id, sum(n)::int AS n
    FROM (SELECT vc.chunk_id, 1 AS n
          FROM staged_change s JOIN version_chunk vc ON vc.version_id = s.version_id
          WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND NOT s.suppressed
            AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)
          UNION ALL
          SELECT vc.chunk_id, -1
          FROM staged_change s
          JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL AND NOT a.suppressed
          JOIN version_chunk vc ON vc.version_id = a.version_id
          WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s
            AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)) AS change
    GROUP BY chunk_id HAVING sum(n) <> 0
), gone AS (
    DELETE FROM visible v USING delta
    WHERE v.collection_id = %(collection)s AND v.chunk_id = delta.chunk_id AND v.refs + delta.n = 0
    RETURNING 1
), changed AS (
    UPDATE visible v SET refs = v.refs + delta.n FROM delta
    WHERE v.collection_id = %(collection)s AND v.chunk_id = delta.chunk_id AND v.refs + delta.n <> 0
    RETURNING 1
), fresh AS (
    INSERT INTO visible (tenant_id, collection_id, chunk_id, refs)
    SELECT %(tenant)s, %(collection)s, delta.chunk_id, delta.n FROM delta
    WHERE NOT EXISTS (
        SELECT FROM visible v WHERE v.collection_id = %(collection)s AND v.chunk_id = delta.chunk_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM fresh) - (SELECT count(*) FROM gone)

-- name: update_stats
UPDATE document d
SET size = s.size, mtime_ns = s.mtime_ns, ctime_ns = s.ctime_ns, inode = s.inode, etag = s.etag,
    content_sha256 = s.content_sha256
FROM staged_change s
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND d.id = s.document_id
  AND s.action NOT IN ('deleted', 'elected')

-- name: drop_solved_rejections
DELETE FROM rejection r
USING staged_change s JOIN document d ON d.id = s.document_id
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND s.action <> 'elected'
  AND r.source_id = d.source_id AND r.uri = d.uri

-- name: end_staged
UPDATE run SET state = 'succeeded', finished_at = now()
WHERE id = %(run)s AND tenant_id = %(tenant)s AND state = 'staged'

-- name: drop_holds
DELETE FROM hold h USING staged_change s
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND s.action <> 'elected'
  AND h.document_id = s.document_id

-- name: update_collection
UPDATE collection
SET current_release = %(number)s, active_space_id = %(space)s, digest_state = %(digest_state)s,
    election = %(election)s
WHERE id = %(collection)s AND tenant_id = %(tenant)s

-- name: refresh_statistics
SELECT refresh_statistics()

-- name: staged_places
SELECT coalesce(sum(v.chunks), 0)
FROM staged_change s
JOIN document_version v ON v.id = s.version_id
LEFT JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND NOT s.suppressed
  AND (s.version_id IS DISTINCT FROM s.base_version_id OR (s.reelected AND a.suppressed))
