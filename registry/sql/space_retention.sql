-- name: writing_runs
-- any may have begun with a space that is active no more
SELECT id FROM run
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND state = 'running' AND flow <> 'purge'
ORDER BY id LIMIT 1000

-- name: old_spaces
SELECT s.id, s.model, s.dtype, s.dim, shown.last,
       coalesce(pg_total_relation_size(to_regclass(format('vectors_%%s_%%s', s.id, c.id))), 0)
FROM collection_space u
JOIN collection c ON c.id = u.collection_id
JOIN embedding_space s ON s.id = u.space_id
CROSS JOIN LATERAL (SELECT max(r.number) AS last FROM release r
                    WHERE r.collection_id = c.id AND r.space_id = s.id) AS shown
WHERE u.tenant_id = %(tenant)s AND u.collection_id = %(collection)s
  AND s.id IS DISTINCT FROM c.active_space_id
  AND u.used_at < CASE WHEN shown.last IS NULL THEN %(built_before)s ELSE %(before)s END
  AND NOT (%(keep_tagged)s AND EXISTS (
      SELECT FROM release_tag t JOIN release r ON r.collection_id = t.collection_id AND r.number = t.number
      WHERE t.tenant_id = %(tenant)s AND t.collection_id = c.id AND r.space_id = s.id))
  -- prototypes in use are recounted from its vectors
  AND s.id IS DISTINCT FROM (SELECT p.space_id FROM prototype_set p
                             WHERE p.tenant_id = %(tenant)s AND p.collection_id = c.id
                             ORDER BY p.version DESC LIMIT 1)
ORDER BY s.id LIMIT 1000

-- name: sets_of_space
SELECT version FROM prototype_set
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s
ORDER BY version

-- name: drop_space
DELETE FROM collection_space
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s

-- name: note_dropped
UPDATE release SET vectors_dropped = true
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND space_id = %(space)s

-- name: drop_vector_partition
-- of this tenant's collection only: the function looks
SELECT drop_vector_partition(%(space)s, %(collection)s, %(lock_ms)s, %(attempts)s)
