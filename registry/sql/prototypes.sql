-- name: members
-- images that have a class and are shown in the release; of a class only the first few by hash, if asked for
SELECT m.class, m.uri, m.chunk_id FROM (
    SELECT v.metadata ->> 'class' AS class, d.uri, vc.chunk_id, s.name AS source,
           row_number() OVER (PARTITION BY v.metadata ->> 'class' ORDER BY c.hash, d.id) AS place
    FROM activation a
    JOIN document_version v ON v.id = a.version_id
    JOIN document d ON d.id = a.document_id
    JOIN source s ON s.id = d.source_id
    JOIN version_chunk vc ON vc.version_id = v.id
    JOIN chunk c ON c.id = vc.chunk_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release <= %(release)s
      AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed
      AND v.metadata ? 'class' AND c.kind = 'image'
      AND v.metadata ->> 'class' = ANY(%(classes)s::text[])
) AS m
WHERE m.place <= %(most)s
ORDER BY m.class COLLATE "C", m.uri COLLATE "C", m.source COLLATE "C"

-- name: class_counts
SELECT v.metadata ->> 'class', count(*)
FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release <= %(release)s
  AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed AND v.metadata ? 'class'
GROUP BY 1 ORDER BY 1

-- name: member_changes
-- what leads from one release to another: 1 for an image that came, -1 for one that went
SELECT v.metadata ->> 'class', d.uri, vc.chunk_id, CASE WHEN t.shown_then THEN -1 ELSE 1 END
FROM activation a
CROSS JOIN LATERAL (
    SELECT a.from_release <= %(old)s AND (a.to_release IS NULL OR a.to_release > %(old)s) AS shown_then,
           a.from_release <= %(release)s AND (a.to_release IS NULL OR a.to_release > %(release)s) AS shown_now
) AS t
JOIN document_version v ON v.id = a.version_id
JOIN document d ON d.id = a.document_id
JOIN version_chunk vc ON vc.version_id = v.id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND t.shown_then <> t.shown_now
  AND NOT a.suppressed AND v.metadata ? 'class'
ORDER BY 1, 2, 4

-- name: staged_counts
-- images of each class that a run would add, less those it would take away
SELECT m.class, sum(m.sign) FROM (
    SELECT v.metadata ->> 'class' AS class, 1 AS sign
    FROM staged_change s JOIN document_version v ON v.id = s.version_id
    WHERE s.tenant_id = %(tenant)s AND s.run_id = %(run)s AND NOT s.suppressed AND v.metadata ? 'class'
      AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)
    UNION ALL
    SELECT v.metadata ->> 'class', -1
    FROM staged_change s
    JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL AND NOT a.suppressed
    JOIN document_version v ON v.id = a.version_id
    WHERE s.tenant_id = %(tenant)s AND s.run_id = %(run)s AND v.metadata ? 'class'
      AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)
) AS m
GROUP BY m.class

-- name: staged_members
-- the images themselves
SELECT m.class, m.uri, m.chunk_id, m.sign FROM (
    SELECT v.metadata ->> 'class' AS class, d.uri, vc.chunk_id, 1 AS sign
    FROM staged_change s
    JOIN document_version v ON v.id = s.version_id
    JOIN document d ON d.id = s.document_id
    JOIN version_chunk vc ON vc.version_id = v.id
    WHERE s.tenant_id = %(tenant)s AND s.run_id = %(run)s AND NOT s.suppressed AND v.metadata ? 'class'
      AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)
    UNION ALL
    SELECT v.metadata ->> 'class', d.uri, vc.chunk_id, -1
    FROM staged_change s
    JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL AND NOT a.suppressed
    JOIN document_version v ON v.id = a.version_id
    JOIN document d ON d.id = s.document_id
    JOIN version_chunk vc ON vc.version_id = v.id
    WHERE s.tenant_id = %(tenant)s AND s.run_id = %(run)s AND v.metadata ? 'class'
      AND (s.version_id IS DISTINCT FROM s.base_version_id OR s.reelected)
) AS m
WHERE m.class = ANY(%(classes)s::text[])
ORDER BY m.class COLLATE "C", m.uri COLLATE "C", m.sign

-- name: read_vectors
COPY (
    SELECT v.chunk_id, v.embedding FROM {vectors} v
    WHERE v.tenant_id = {tenant} AND v.collection_id = {collection} AND v.chunk_id = ANY({ids}::bigint[])
) TO STDOUT (FORMAT binary)

-- name: sets
SELECT p.version, p.release, p.release_digest, p.seen_release, p.space_id, p.settings, p.tau1, p.tau2, p.digest,
       p.report, p.is_rollback, p.note, p.created_at, p.id, s.fingerprint
FROM prototype_set p JOIN embedding_space s ON s.id = p.space_id
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
  AND (%(version)s::int IS NULL OR p.version = %(version)s)
ORDER BY p.version DESC LIMIT %(most)s

-- name: set_of_digest
-- the newest set of a release with that digest, made by these settings
SELECT p.version FROM prototype_set p
JOIN release r ON r.collection_id = p.collection_id AND r.missing = 0
    AND r.number = p.images_release
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND p.release_digest = %(digest)s
  AND p.settings = %(settings)s
ORDER BY p.version DESC LIMIT 1

-- name: prototypes_of_set
SELECT p.class, p.images, p.sum, p.vectors, p.hash
FROM prototype_set_member m JOIN prototype p ON p.id = m.prototype_id
WHERE m.tenant_id = %(tenant)s AND m.collection_id = %(collection)s AND m.set_id = %(set)s
ORDER BY p.class COLLATE "C"

-- name: all_prototypes
SELECT p.id, p.class, p.images, p.sum, p.vectors, p.hash, s.fingerprint
FROM prototype p JOIN embedding_space s ON s.id = p.space_id
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s

-- name: set_hashes
SELECT p.version, p.tau1, p.tau2, p.digest,
       ARRAY(SELECT o.hash FROM prototype_set_member m JOIN prototype o ON o.id = m.prototype_id
             WHERE m.tenant_id = %(tenant)s AND m.set_id = p.id)
FROM prototype_set p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
ORDER BY p.version DESC

-- name: create_prototypes
INSERT INTO prototype (tenant_id, collection_id, space_id, class, images, sum, vectors, hash)
SELECT %(tenant)s, %(collection)s, %(space)s, p.class, p.images, p.sum, p.vectors, p.hash
FROM unnest(%(classes)s::text[], %(images)s::int[], %(sums)s::bytea[], %(vectors)s::bytea[], %(hashes)s::bytea[])
     AS p(class, images, sum, vectors, hash)
ON CONFLICT ON CONSTRAINT prototype_hash_key DO UPDATE
-- what was damaged is mended: the hash says what belongs here
SET class = excluded.class, images = excluded.images, sum = excluded.sum, vectors = excluded.vectors
WHERE (prototype.class, prototype.images, prototype.sum, prototype.vectors)
      IS DISTINCT FROM (excluded.class, excluded.images, excluded.sum, excluded.vectors)

-- name: create_set
WITH numbered AS (
    UPDATE collection SET prototypes = prototypes + 1
    WHERE tenant_id = %(tenant)s AND id = %(collection)s RETURNING prototypes
)
INSERT INTO prototype_set (tenant_id, collection_id, version, release, release_digest, seen_release, space_id,
                           settings, tau1, tau2, digest, report, is_rollback, note)
SELECT %(tenant)s, %(collection)s, prototypes, %(release)s, %(release_digest)s, %(seen_release)s, %(space)s,
       %(settings)s, %(tau1)s, %(tau2)s, %(digest)s, %(report)s, %(is_rollback)s, %(note)s
FROM numbered
RETURNING id, version, created_at

-- name: confirm_set
UPDATE prototype_set SET seen_release = %(release)s, report = %(report)s
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND version = %(version)s
  AND seen_release <= %(release)s

-- name: create_members
INSERT INTO prototype_set_member (tenant_id, collection_id, set_id, prototype_id)
SELECT %(tenant)s, %(collection)s, %(set)s, p.id FROM prototype p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND p.hash = ANY(%(hashes)s::bytea[])

-- name: drop_sets
DELETE FROM prototype_set
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND version = ANY(%(versions)s::int[])

-- name: drop_unused_prototypes
DELETE FROM prototype p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM prototype_set_member m WHERE m.prototype_id = p.id)

-- name: sets_with_document
-- made of a release that showed it, or that is not whole any more: who knows what it showed
SELECT p.version FROM prototype_set p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND (EXISTS (
    SELECT FROM activation a
    WHERE a.tenant_id = %(tenant)s AND a.document_id = %(document)s
      AND a.from_release <= p.images_release
      AND (a.to_release IS NULL OR a.to_release > p.images_release)) OR EXISTS (
    SELECT FROM release r
    WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.missing > 0
      AND r.number = p.images_release))

-- name: drop_incomplete_sets
-- but the one in use: of releases whose images were purged
DELETE FROM prototype_set p USING release r
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
  AND r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.missing > 0
  AND r.number = p.images_release
  AND p.version < (SELECT max(o.version) FROM prototype_set o
                   WHERE o.tenant_id = %(tenant)s AND o.collection_id = %(collection)s)

-- name: is_whole
SELECT r.missing = 0 FROM release r
WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.number = %(release)s

-- name: old_sets
-- but the one in use, the last few before it, young ones, and those of tagged releases
SELECT p.version FROM (
    SELECT p.version, p.release, p.seen_release, p.created_at, row_number() OVER (ORDER BY p.version DESC) AS place
    FROM prototype_set p WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s
) AS p
WHERE p.place > 1 + %(keep)s AND p.created_at < %(before)s
  AND NOT (%(keep_tagged)s AND EXISTS (
      SELECT FROM release_tag t
      WHERE t.tenant_id = %(tenant)s AND t.collection_id = %(collection)s
        AND t.number BETWEEN p.release AND p.seen_release))
