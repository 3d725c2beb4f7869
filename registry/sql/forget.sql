-- name: find_document
SELECT s.id, s.name, s.root_url, d.id
FROM source s
LEFT JOIN document d ON d.source_id = s.id AND d.uri = %(uri)s
LEFT JOIN rejection j ON j.source_id = s.id AND j.uri = %(uri)s
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND (d.id IS NOT NULL OR j.uri IS NOT NULL
       OR EXISTS (SELECT FROM event e WHERE e.source_id = s.id AND e.uri = %(uri)s))
ORDER BY s.name

-- name: some_uris
SELECT uri FROM document WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
UNION SELECT uri FROM rejection WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
ORDER BY uri LIMIT %(most)s

-- name: versions
SELECT v.id FROM document_version v WHERE v.tenant_id = %(tenant)s AND v.document_id = %(document)s ORDER BY v.id

-- name: contents
SELECT content_sha256 FROM document_version WHERE tenant_id = %(tenant)s AND document_id = %(document)s
UNION SELECT content_sha256 FROM document
WHERE tenant_id = %(tenant)s AND id = %(document)s AND content_sha256 IS NOT NULL
UNION SELECT content_sha256 FROM staged_change
WHERE tenant_id = %(tenant)s AND document_id = %(document)s AND content_sha256 IS NOT NULL
UNION SELECT content_sha256 FROM rejection
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND uri = %(uri)s AND content_sha256 IS NOT NULL

-- name: same_bytes
SELECT DISTINCT s.name, d.uri
FROM document_version v
JOIN document_version o ON o.collection_id = v.collection_id AND o.content_sha256 = v.content_sha256
                       AND o.document_id <> v.document_id
JOIN document d ON d.id = o.document_id
JOIN source s ON s.id = d.source_id
WHERE v.tenant_id = %(tenant)s AND v.document_id = %(document)s
ORDER BY s.name, d.uri

-- name: near_copies
-- what it stood for, or what stood for it, in any release; and what those stood for
SELECT DISTINCT s.name, d.uri
FROM (SELECT a.document_id AS id FROM activation a WHERE a.tenant_id = %(tenant)s AND a.winner_id = %(document)s
      UNION SELECT a.winner_id FROM activation a WHERE a.tenant_id = %(tenant)s AND a.document_id = %(document)s
      UNION SELECT o.document_id FROM activation a JOIN activation o ON o.winner_id = a.winner_id
      WHERE a.tenant_id = %(tenant)s AND a.document_id = %(document)s) AS near
JOIN document d ON d.id = near.id AND d.id <> %(document)s
JOIN source s ON s.id = d.source_id
ORDER BY s.name, d.uri

-- name: own_chunks
SELECT DISTINCT c.id, c.hash
FROM version_chunk vc JOIN chunk c ON c.id = vc.chunk_id
WHERE vc.tenant_id = %(tenant)s AND vc.version_id = ANY(%(versions)s::bigint[])
  AND NOT EXISTS (SELECT FROM version_chunk k
                  WHERE k.chunk_id = vc.chunk_id AND k.version_id <> ALL(%(versions)s::bigint[]))

-- name: shared_chunks
SELECT count(DISTINCT vc.chunk_id), count(DISTINCT v.document_id)
FROM version_chunk vc
JOIN version_chunk k ON k.chunk_id = vc.chunk_id AND k.version_id <> ALL(%(versions)s::bigint[])
JOIN document_version v ON v.id = k.version_id
WHERE vc.tenant_id = %(tenant)s AND vc.version_id = ANY(%(versions)s::bigint[])

-- name: own_signatures
-- of texts that no other version has
SELECT g.id, g.bands FROM signature g
WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s
  AND g.text_sha256 IN (SELECT v.text_sha256 FROM document_version v WHERE v.id = ANY(%(versions)s::bigint[]))
  AND NOT EXISTS (SELECT FROM document_version k
                  WHERE k.collection_id = g.collection_id AND k.text_sha256 = g.text_sha256
                    AND k.id <> ALL(%(versions)s::bigint[]))

-- name: retire_duplicates
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, base_version_id)
SELECT a.tenant_id, a.collection_id, %(run)s, a.document_id, 'deleted', a.version_id
FROM activation a
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.winner_id = %(document)s
  AND a.suppressed AND a.to_release IS NULL
RETURNING (SELECT d.uri FROM document d WHERE d.id = staged_change.document_id)

-- name: forget_elections
-- runs that have elected it hold their elections again, or what it stood for would be shown by nobody
UPDATE run r SET elected_release = NULL
WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.elected_release IS NOT NULL
  AND EXISTS (SELECT FROM staged_change s
              WHERE s.run_id = r.id AND (s.document_id = %(document)s OR s.winner_id = %(document)s))

-- name: unstage
DELETE FROM staged_change WHERE tenant_id = %(tenant)s AND document_id = %(document)s

-- name: stage_retirement
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, base_version_id)
SELECT a.tenant_id, a.collection_id, %(run)s, a.document_id, 'deleted', a.version_id
FROM activation a
WHERE a.tenant_id = %(tenant)s AND a.document_id = %(document)s AND a.to_release IS NULL

-- name: drop_hold
DELETE FROM hold WHERE tenant_id = %(tenant)s AND document_id = %(document)s

-- name: drop_rejection
-- what lay in the document names it too
DELETE FROM rejection
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(uri, %(uri)s || '/'))

-- name: drop_events
-- of the document and of what lies in it, whatever their state; deliveries that named nothing else go too
WITH gone AS (
    DELETE FROM event
    WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(uri, %(uri)s || '/'))
    RETURNING id, delivery_id
), renamed AS (
    -- a sender's id may be made of the uri, in whatever spelling
    UPDATE delivery d SET delivery = 'sha256:' || encode(sha256(convert_to(d.delivery, 'UTF8')), 'hex')
    WHERE d.tenant_id = %(tenant)s AND d.id IN (SELECT delivery_id FROM gone)
      AND EXISTS (SELECT FROM event e WHERE e.delivery_id = d.id AND e.id NOT IN (SELECT id FROM gone))
)
DELETE FROM delivery d
WHERE d.tenant_id = %(tenant)s AND d.id IN (SELECT delivery_id FROM gone)
  AND NOT EXISTS (SELECT FROM event e WHERE e.delivery_id = d.id AND e.id NOT IN (SELECT id FROM gone))

-- name: holders
-- documents of that source whose bytes hold the document's: mails, whose attachment it is
SELECT uri FROM document
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND uri = ANY(%(ancestors)s::text[])
ORDER BY uri

-- name: drop_containers_of
-- what the document holds, and what it lies in: both name it
DELETE FROM container
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(%(uri)s, uri || '/'))

-- name: drop_document
DELETE FROM document WHERE tenant_id = %(tenant)s AND id = %(document)s

-- name: mentioning_runs
SELECT id, scope, error, stats FROM run
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
  AND EXISTS (
      SELECT FROM unnest(%(forms)s::text[], %(quoted)s::text[]) AS f(uri, quoted)
      WHERE strpos(scope, f.uri) > 0 OR strpos(coalesce(error, ''), f.uri) > 0 OR strpos(stats::text, f.quoted) > 0)

-- name: scrub_run
UPDATE run SET scope = %(scope)s, error = %(error)s, stats = %(stats)s
WHERE tenant_id = %(tenant)s AND id = %(id)s

-- name: mentioning_releases
SELECT number, note FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND EXISTS (
    SELECT FROM unnest(%(forms)s::text[]) AS f(uri) WHERE strpos(note, f.uri) > 0)

-- name: scrub_release
UPDATE release SET note = %(note)s
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = %(number)s

-- name: mentioning_events
SELECT id, error FROM event
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND error IS NOT NULL AND EXISTS (
    SELECT FROM unnest(%(forms)s::text[]) AS f(uri) WHERE strpos(error, f.uri) > 0)

-- name: scrub_event
UPDATE event SET error = %(error)s WHERE tenant_id = %(tenant)s AND id = %(id)s

-- name: mentioning_deliveries
SELECT id, delivery FROM delivery
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND EXISTS (
    SELECT FROM unnest(%(forms)s::text[]) AS f(uri) WHERE strpos(delivery, f.uri) > 0)

-- name: scrub_delivery
UPDATE delivery SET delivery = %(delivery)s WHERE tenant_id = %(tenant)s AND id = %(id)s

-- name: traces
SELECT 'documents', count(*) FROM document
WHERE tenant_id = %(tenant)s AND (id = %(document)s OR (source_id = %(source)s AND uri = %(uri)s))
UNION ALL SELECT 'versions', count(*) FROM document_version
WHERE tenant_id = %(tenant)s AND (document_id = %(document)s OR id = ANY(%(versions)s::bigint[]))
UNION ALL SELECT 'activations', count(*) FROM activation
WHERE tenant_id = %(tenant)s AND (document_id = %(document)s OR version_id = ANY(%(versions)s::bigint[]))
UNION ALL SELECT 'staged changes', count(*) FROM staged_change
WHERE tenant_id = %(tenant)s AND document_id = %(document)s
UNION ALL SELECT 'holds', count(*) FROM hold WHERE tenant_id = %(tenant)s AND document_id = %(document)s
UNION ALL SELECT 'rejections', count(*) FROM rejection
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(uri, %(uri)s || '/'))
UNION ALL SELECT 'events', count(*) FROM event
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(uri, %(uri)s || '/'))
UNION ALL SELECT 'containers', count(*) FROM container
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND (uri = %(uri)s OR starts_with(%(uri)s, uri || '/'))
UNION ALL SELECT 'places of chunks', count(*) FROM version_chunk
WHERE tenant_id = %(tenant)s AND version_id = ANY(%(versions)s::bigint[])
UNION ALL SELECT 'chunks', count(*) FROM chunk
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND hash = ANY(%(hashes)s::bytea[])
UNION ALL SELECT 'visible', count(*) FROM visible
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND chunk_id = ANY(%(chunks)s::bigint[])
UNION ALL SELECT 'signatures', count(*) FROM signature
WHERE tenant_id = %(tenant)s AND id = ANY(%(signatures)s::bigint[])
UNION ALL SELECT 'bands of signatures', count(*) FROM signature_band
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND band = ANY(%(bands)s::bigint[])
  AND signature_id = ANY(%(signatures)s::bigint[])
UNION ALL SELECT 'reports of prototypes', count(*) FROM prototype_set p
WHERE p.tenant_id = %(tenant)s AND p.collection_id = %(collection)s AND EXISTS (
    SELECT FROM jsonb_array_elements(p.report #> '{outliers,entries}') AS e WHERE e ->> 'uri' = %(uri)s)
UNION ALL SELECT 'elections', (SELECT count(*) FROM activation WHERE tenant_id = %(tenant)s AND winner_id = %(document)s)
    + (SELECT count(*) FROM staged_change WHERE tenant_id = %(tenant)s AND winner_id = %(document)s)
UNION ALL SELECT 'parser results', count(*) FROM parsed
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND content_sha256 = ANY(%(contents)s::bytea[])
  AND NOT EXISTS (SELECT FROM document_version v
                  WHERE v.collection_id = parsed.collection_id AND v.content_sha256 = parsed.content_sha256
                    AND v.id <> ALL(%(versions)s::bigint[]))
