-- name: staged_documents
SELECT (SELECT current_release FROM collection WHERE tenant_id = %(tenant)s AND id = %(collection)s),
       count(*) FILTER (WHERE s.action NOT IN ('restat', 'elected')),
       count(*) FILTER (WHERE s.action NOT IN ('restat', 'elected') AND v.id IS NOT NULL),
       count(*) FILTER (WHERE s.action NOT IN ('restat', 'elected') AND v.id IS NOT NULL AND size.characters < %(few)s),
       (SELECT count(*) FROM rejection j WHERE j.tenant_id = %(tenant)s AND j.run_id = %(run)s),
       count(*) FILTER (WHERE v.id <> b.id),
       coalesce(sum(b.chunks) FILTER (WHERE v.id <> b.id AND NOT a.suppressed), 0),
       coalesce(sum(v.chunks) FILTER (WHERE v.id <> b.id AND NOT s.suppressed), 0),
       count(*) FILTER (WHERE s.suppressed AND NOT a.suppressed),
       (SELECT count(*) FROM activation x WHERE x.tenant_id = %(tenant)s AND x.collection_id = %(collection)s
        AND x.to_release IS NULL AND NOT x.suppressed)
FROM staged_change s
LEFT JOIN activation a ON a.document_id = s.document_id AND a.to_release IS NULL
LEFT JOIN document_version v ON v.id = s.version_id
LEFT JOIN document_version b ON b.id = s.base_version_id
LEFT JOIN LATERAL (SELECT coalesce(max(vc.char_end), 0) AS characters
                   FROM version_chunk vc WHERE vc.version_id = v.id) AS size ON true
WHERE s.tenant_id = %(tenant)s AND s.run_id = %(run)s

-- name: bad_vectors
SELECT count(*) FROM (
    SELECT DISTINCT vc.chunk_id
    FROM staged_change s JOIN version_chunk vc ON vc.version_id = s.version_id
    WHERE s.run_id = %(run)s AND s.tenant_id = %(tenant)s AND NOT s.suppressed
      AND (s.action <> 'restat' OR s.reelected)) AS c
JOIN {vectors} x ON x.collection_id = %(collection)s AND x.chunk_id = c.chunk_id
-- the negative inner product with itself: minus the squared length
WHERE NOT (-(x.embedding <#> x.embedding) BETWEEN %(low)s AND %(high)s)
