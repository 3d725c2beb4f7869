-- name: drop_elected
DELETE FROM staged_change WHERE tenant_id = %(tenant)s AND run_id = %(run)s AND action = 'elected'

-- name: clear_elected
UPDATE staged_change SET winner_id = NULL, rule = NULL, similarity = NULL, suppressed = false, reelected = false
WHERE tenant_id = %(tenant)s AND run_id = %(run)s AND (winner_id IS NOT NULL OR suppressed OR reelected)

-- name: last_election
SELECT c.current_release, c.election, coalesce(r.documents, 0),
       (SELECT count(*) FROM staged_change s
        WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND s.action <> 'elected')
FROM collection c LEFT JOIN release r ON r.collection_id = c.id AND r.number = c.current_release
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: end_election
UPDATE run SET elected_release = %(release)s, elected_by = %(elected_by)s
WHERE tenant_id = %(tenant)s AND id = %(run)s

-- name: changed_texts
-- of documents that are still as the run saw them; here and below one index lookup a row, whatever the planner
-- believes of tables it has no statistics of: LIMIT keeps it from joining them as a whole
SELECT s.document_id, new.text_sha256, old.text_sha256
FROM staged_change s
LEFT JOIN LATERAL (
    SELECT a.version_id FROM activation a WHERE a.document_id = s.document_id AND a.to_release IS NULL LIMIT 1
) AS a ON true
LEFT JOIN LATERAL (SELECT v.text_sha256 FROM document_version v WHERE v.id = s.version_id LIMIT 1) AS new ON true
LEFT JOIN LATERAL (SELECT v.text_sha256 FROM document_version v WHERE v.id = s.base_version_id LIMIT 1) AS old ON true
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s AND s.run_id = %(run)s
  AND s.version_id IS DISTINCT FROM s.base_version_id AND s.base_version_id IS NOT DISTINCT FROM a.version_id
ORDER BY s.document_id

-- name: text_states
-- whether a text is shown now, and whether it will be
SELECT t.text, g.id, g.bands, coalesce(shown.before, false), coalesce(shown.after, false)
FROM unnest(%(texts)s::bytea[]) AS t(text)
LEFT JOIN LATERAL (
    SELECT g.id, g.bands FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s AND g.text_sha256 = t.text
      AND g.params = %(params)s LIMIT 1
) AS g ON true
LEFT JOIN LATERAL (
    SELECT bool_or(a.version_id = v.id) AS before,
           bool_or(CASE WHEN s.is_staged THEN s.version_id ELSE a.version_id END = v.id) AS after
    FROM document_version v
    LEFT JOIN LATERAL (
        SELECT a.version_id FROM activation a WHERE a.document_id = v.document_id AND a.to_release IS NULL LIMIT 1
    ) AS a ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_staged, s.version_id FROM staged_change s
        WHERE s.run_id = %(run)s AND s.document_id = v.document_id
          AND s.base_version_id IS NOT DISTINCT FROM a.version_id LIMIT 1
    ) AS s ON true
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.text_sha256 = t.text
) AS shown ON true

-- name: documents_of_texts
-- that will be shown, with their election as it is
SELECT d.id, d.uri, s.name, t.text, v.published, v.authored_at AT TIME ZONE 'UTC', coalesce(g.characters, 0),
       v.id, a.version_id, coalesce(c.is_staged, false), a.winner_id, a.rule, a.similarity,
       coalesce(a.suppressed, false)
FROM unnest(%(texts)s::bytea[]) AS t(text)
CROSS JOIN LATERAL (
    SELECT v.id, v.document_id, v.published,
           CASE WHEN v.authored_at IS NOT NULL
                THEN greatest(least(v.authored_at, '9999-12-31 00:00+00'), '0001-01-01 00:00+00') END AS authored_at
    FROM document_version v
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.text_sha256 = t.text OFFSET 0
) AS v
LEFT JOIN LATERAL (
    SELECT a.version_id, a.winner_id, a.rule, a.similarity, a.suppressed FROM activation a
    WHERE a.document_id = v.document_id AND a.to_release IS NULL LIMIT 1
) AS a ON true
LEFT JOIN LATERAL (
    SELECT true AS is_staged, c.version_id FROM staged_change c
    WHERE c.run_id = %(run)s AND c.document_id = v.document_id
      AND c.base_version_id IS NOT DISTINCT FROM a.version_id LIMIT 1
) AS c ON true
CROSS JOIN LATERAL (SELECT d.id, d.uri, d.source_id FROM document d WHERE d.id = v.document_id LIMIT 1) AS d
CROSS JOIN LATERAL (SELECT s.name FROM source s WHERE s.id = d.source_id LIMIT 1) AS s
LEFT JOIN LATERAL (
    SELECT g.characters FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s AND g.text_sha256 = t.text
      AND g.params = %(params)s LIMIT 1
) AS g ON true
WHERE CASE WHEN c.is_staged THEN c.version_id ELSE a.version_id END = v.id

-- name: dependent_texts
-- of documents that have lost to one of these; inside the fence nothing that another index could serve
SELECT DISTINCT v.text_sha256
FROM unnest(%(documents)s::bigint[]) AS w(id)
CROSS JOIN LATERAL (
    SELECT a.version_id, a.collection_id, a.to_release FROM activation a
    WHERE a.tenant_id = %(tenant)s AND a.winner_id = w.id OFFSET 0
) AS a
CROSS JOIN LATERAL (SELECT v.text_sha256 FROM document_version v WHERE v.id = a.version_id LIMIT 1) AS v
WHERE a.collection_id = %(collection)s AND a.to_release IS NULL

-- name: elected_texts
-- of all documents that have lost
SELECT DISTINCT v.text_sha256
FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
  AND (a.winner_id IS NOT NULL OR a.rule IS NOT NULL OR a.suppressed)

-- name: write_elected
-- a document that the run had not staged gets a row; one that it staged from another state is left alone
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, version_id, base_version_id,
                           winner_id, rule, similarity, suppressed, reelected)
SELECT %(tenant)s, %(collection)s, %(run)s, e.document_id, 'elected', e.version_id, e.base_version_id,
       e.winner_id, e.rule, e.similarity, e.suppressed, e.reelected
FROM unnest(%(document)s::bigint[], %(version)s::bigint[], %(base)s::bigint[], %(winner)s::bigint[],
            %(rule)s::text[], %(similarity)s::real[], %(suppressed)s::boolean[], %(reelected)s::boolean[])
     AS e(document_id, version_id, base_version_id, winner_id, rule, similarity, suppressed, reelected)
ON CONFLICT (run_id, document_id) DO UPDATE
SET winner_id = excluded.winner_id, rule = excluded.rule, similarity = excluded.similarity,
    suppressed = excluded.suppressed, reelected = excluded.reelected
WHERE staged_change.version_id = excluded.version_id
  AND staged_change.base_version_id IS NOT DISTINCT FROM excluded.base_version_id

-- name: signatures_of_texts
SELECT t.text, g.id, g.bands
FROM unnest(%(texts)s::bytea[]) AS t(text)
CROSS JOIN LATERAL (
    SELECT g.id, g.bands FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s AND g.text_sha256 = t.text
      AND g.params = %(params)s LIMIT 1
) AS g

-- name: load_signatures
SELECT i.id, g.kind, g.minhash, g.shingles, g.words, g.numbers, g.characters, '{}'::bigint[]
FROM unnest(%(ids)s::bigint[]) AS i(id)
CROSS JOIN LATERAL (
    SELECT g.kind, g.minhash, g.shingles, g.words, g.numbers, g.characters FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.id = i.id LIMIT 1
) AS g

-- name: band_members
-- shown or not; one more than asked for says that there are more
SELECT b.band, m.ids
FROM unnest(%(bands)s::bigint[]) AS b(band)
CROSS JOIN LATERAL (
    SELECT array_agg(m.signature_id) AS ids
    FROM (SELECT x.signature_id FROM signature_band x
          WHERE x.tenant_id = %(tenant)s AND x.collection_id = %(collection)s AND x.band = b.band
          LIMIT %(most)s + 1) AS m
) AS m
WHERE cardinality(m.ids) > 1

-- name: shown_members
-- the same of those alone whose text is shown, without the ones named
SELECT b.band, m.ids, m.texts
FROM unnest(%(bands)s::bigint[]) AS b(band)
CROSS JOIN LATERAL (
    SELECT array_agg(m.id) AS ids, array_agg(m.text_sha256) AS texts
    FROM (SELECT g.id, g.text_sha256
          FROM signature_band x
          CROSS JOIN LATERAL (
              SELECT g.id, g.text_sha256 FROM signature g
              WHERE g.tenant_id = %(tenant)s AND g.id = x.signature_id AND g.params = %(params)s LIMIT 1
          ) AS g
          CROSS JOIN LATERAL (
              SELECT FROM document_version v
              CROSS JOIN LATERAL (
                  SELECT a.version_id FROM activation a
                  WHERE a.document_id = v.document_id AND a.to_release IS NULL LIMIT 1
              ) AS a
              WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.text_sha256 = g.text_sha256
                AND a.version_id = v.id
              LIMIT 1
          ) AS shown
          WHERE x.tenant_id = %(tenant)s AND x.collection_id = %(collection)s AND x.band = b.band
            AND x.signature_id <> ALL(%(without)s::bigint[])
          LIMIT %(most)s + 1) AS m
) AS m
WHERE m.ids IS NOT NULL

-- name: shown_signatures
SELECT g.id, g.text_sha256
FROM unnest(%(ids)s::bigint[]) AS i(id)
CROSS JOIN LATERAL (
    SELECT g.id, g.text_sha256 FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.id = i.id AND g.params = %(params)s LIMIT 1
) AS g
CROSS JOIN LATERAL (
    SELECT FROM document_version v
    CROSS JOIN LATERAL (
        SELECT a.version_id FROM activation a
        WHERE a.document_id = v.document_id AND a.to_release IS NULL LIMIT 1
    ) AS a
    WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.text_sha256 = g.text_sha256
      AND a.version_id = v.id
    LIMIT 1
) AS shown

-- name: all_texts
-- that will be shown, with the number of documents; without statistics the planner would join a whole collection
-- row by row, so the caller forbids that
SELECT v.text_sha256, count(*), min(g.id), min(g.bands)
FROM (
    SELECT CASE WHEN s.document_id IS NOT NULL AND s.base_version_id IS NOT DISTINCT FROM a.version_id
                THEN s.version_id ELSE a.version_id END AS version_id
    FROM (SELECT a.document_id, a.version_id FROM activation a
          WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL) AS a
    FULL JOIN (SELECT s.document_id, s.version_id, s.base_version_id FROM staged_change s
               WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s AND s.run_id = %(run)s) AS s
        ON s.document_id = a.document_id
) AS shown
JOIN document_version v ON v.id = shown.version_id
LEFT JOIN signature g ON g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s
    AND g.text_sha256 = v.text_sha256 AND g.params = %(params)s
GROUP BY v.text_sha256

-- name: join_row_by_row
-- of whatever tenant: this transaction's plans
SELECT set_config('enable_nestloop', %(allowed)s, true)

-- name: list_clusters
SELECT w.uri, ws.name, d.uri, s.name, a.similarity, a.rule, a.suppressed
FROM activation a
JOIN document d ON d.id = a.document_id
JOIN source s ON s.id = d.source_id
JOIN document w ON w.id = a.winner_id
JOIN source ws ON ws.id = w.source_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.winner_id IS NOT NULL
  AND a.from_release <= %(number)s AND (a.to_release IS NULL OR a.to_release > %(number)s)
ORDER BY w.uri COLLATE "C", ws.name COLLATE "C", a.similarity DESC, d.uri COLLATE "C", s.name COLLATE "C"
