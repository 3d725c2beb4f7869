-- name: stage_release
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, version_id, base_version_id,
                           winner_id, rule, similarity, suppressed, reelected)
SELECT %(tenant)s, %(collection)s, %(run)s, t.document_id,
       CASE WHEN old.version_id IS NULL THEN 'deleted' WHEN now.version_id IS NULL THEN 'added'
            WHEN old.version_id = now.version_id THEN 'elected' ELSE 'changed' END,
       old.version_id, now.version_id,
       old.winner_id, old.rule, old.similarity, coalesce(old.suppressed, false),
       coalesce(old.version_id = now.version_id, false)
FROM (SELECT DISTINCT document_id FROM activation
      WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
        AND (from_release > %(to)s OR to_release > %(to)s)) AS t
LEFT JOIN activation old ON old.document_id = t.document_id
    AND old.from_release <= %(to)s AND (old.to_release IS NULL OR old.to_release > %(to)s)
LEFT JOIN activation now ON now.document_id = t.document_id AND now.to_release IS NULL
WHERE (old.version_id, old.winner_id, old.rule, old.similarity, old.suppressed)
      IS DISTINCT FROM (now.version_id, now.winner_id, now.rule, now.similarity, now.suppressed)

-- name: stage_document
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, version_id, base_version_id)
SELECT %(tenant)s, %(collection)s, %(run)s, %(document)s,
       CASE WHEN now.version_id IS NULL THEN 'added' ELSE 'changed' END, %(version)s, now.version_id
FROM document_version v
LEFT JOIN activation now ON now.document_id = v.document_id AND now.to_release IS NULL
WHERE v.tenant_id = %(tenant)s AND v.document_id = %(document)s AND v.id = %(version)s
  AND now.version_id IS DISTINCT FROM v.id

-- name: drop_settled_holds
DELETE FROM hold h USING staged_change s
JOIN document d ON d.id = s.document_id
LEFT JOIN document_version v ON v.id = s.version_id
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND h.document_id = s.document_id
  AND s.action <> 'elected'
  AND (h.version_id IS NOT DISTINCT FROM s.version_id
       -- the same version, purged and made again
       OR (h.fingerprint = v.fingerprint AND d.content_sha256 = v.content_sha256))

-- name: create_holds
INSERT INTO hold (tenant_id, collection_id, document_id, release, version_id, parser, fingerprint)
SELECT s.tenant_id, s.collection_id, s.document_id, %(release)s, s.base_version_id, v.parser, v.fingerprint
FROM staged_change s
LEFT JOIN document_version v ON v.id = s.base_version_id
WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND s.action <> 'elected'
ON CONFLICT (document_id) DO NOTHING

-- name: count_holds
SELECT count(*) FROM hold WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s

-- name: document_versions
SELECT s.name, d.id, v.id, v.version, a.from_release, a.to_release
FROM document d
JOIN source s ON s.id = d.source_id
JOIN document_version v ON v.document_id = d.id
LEFT JOIN activation a ON a.version_id = v.id
WHERE d.tenant_id = %(tenant)s AND d.collection_id = %(collection)s AND d.uri = %(uri)s
  AND (%(source)s::text IS NULL OR s.name = %(source)s)
ORDER BY s.name, v.version, a.from_release

-- name: space_of_release
SELECT space_id FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = %(to)s

-- name: election_of_release
SELECT election FROM release
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND number = %(to)s
