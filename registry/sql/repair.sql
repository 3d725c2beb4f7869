-- name: drop_stale_staged
DELETE FROM staged_change s USING run r
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND r.id = s.run_id AND r.state NOT IN ('running', 'staged')

-- name: drop_hidden
DELETE FROM visible s
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM version_chunk vc
                  JOIN activation a ON a.version_id = vc.version_id AND a.to_release IS NULL AND NOT a.suppressed
                  WHERE vc.chunk_id = s.chunk_id AND a.collection_id = s.collection_id)

-- name: recount_visible
INSERT INTO visible (tenant_id, collection_id, chunk_id, refs)
SELECT %(tenant)s, %(collection)s, vc.chunk_id, count(*)
FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL AND NOT a.suppressed
GROUP BY vc.chunk_id
ON CONFLICT (collection_id, chunk_id) DO UPDATE SET refs = excluded.refs WHERE visible.refs <> excluded.refs

-- name: write_state
UPDATE collection SET digest_state = %(state)s
WHERE id = %(collection)s AND tenant_id = %(tenant)s AND digest_state <> %(state)s

-- name: drop_homeless_vectors
DELETE FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM chunk c WHERE c.id = v.chunk_id AND c.collection_id = v.collection_id)

-- name: drop_homeless_bands
DELETE FROM signature_band b
WHERE b.tenant_id = %(tenant)s AND b.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM signature g
                  WHERE g.id = b.signature_id AND g.collection_id = b.collection_id AND b.band = ANY(g.bands))

-- name: store_lost_bands
INSERT INTO signature_band (tenant_id, collection_id, band, signature_id)
SELECT DISTINCT g.tenant_id, g.collection_id, n.band, g.id
FROM signature g CROSS JOIN LATERAL unnest(g.bands) AS n(band)
WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s
ON CONFLICT (collection_id, band, signature_id) DO NOTHING

-- name: forget_election
UPDATE collection SET election = '' WHERE tenant_id = %(tenant)s AND id = %(collection)s AND election <> ''

-- name: forget_stats
UPDATE document d
SET size = NULL, mtime_ns = NULL, ctime_ns = NULL, inode = NULL, etag = NULL, content_sha256 = NULL
WHERE d.tenant_id = %(tenant)s AND d.collection_id = %(collection)s
  AND d.content_sha256 = ANY(%(hashes)s::bytea[])
  AND EXISTS (SELECT FROM activation a WHERE a.document_id = d.id AND a.to_release IS NULL)
  -- of a document that is held back, this is what the source has: without it, the hold would end
  AND NOT EXISTS (SELECT FROM hold h WHERE h.document_id = d.id)

-- name: chunks_to_embed
SELECT vc.chunk_id
FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL AND NOT a.suppressed
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.collection_id = vc.collection_id AND v.chunk_id = vc.chunk_id)
UNION
SELECT x.chunk_id
FROM (SELECT v.chunk_id, -(v.embedding <#> v.embedding) AS square FROM {vectors} v
      WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s) AS x
JOIN chunk c ON c.id = x.chunk_id
WHERE %(all)s AND NOT {is_sound}
ORDER BY 1
