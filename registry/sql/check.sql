-- name: collection_state
SELECT c.digest_state, c.current_release, c.active_space_id, r.digest, r.documents, r.chunks, s.fingerprint,
       s.normalised
FROM collection c
LEFT JOIN release r ON r.collection_id = c.id AND r.number = c.current_release
LEFT JOIN embedding_space s ON s.id = c.active_space_id
WHERE c.tenant_id = %(tenant)s AND c.id = %(collection)s

-- name: visible_without_vector
SELECT count(*) FROM visible s
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM {vectors} v WHERE v.collection_id = s.collection_id AND v.chunk_id = s.chunk_id)

-- name: vectors_without_chunk
SELECT count(*) FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
  AND NOT EXISTS (SELECT FROM chunk c WHERE c.id = v.chunk_id AND c.collection_id = v.collection_id)

-- name: wrong_refs
WITH counted AS (
    SELECT vc.chunk_id, count(*) AS refs
    FROM activation a JOIN version_chunk vc ON vc.version_id = a.version_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
      AND NOT a.suppressed
    GROUP BY vc.chunk_id
)
SELECT count(*) FROM counted
FULL JOIN (SELECT chunk_id, refs FROM visible
           WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s) s USING (chunk_id)
WHERE counted.refs IS DISTINCT FROM s.refs

-- name: active_digests
SELECT v.digest, w.uri, a.suppressed
FROM activation a JOIN document_version v ON v.id = a.version_id LEFT JOIN document w ON w.id = a.winner_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL

-- name: counts
SELECT (SELECT count(*) FROM activation a
        WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL),
       (SELECT count(DISTINCT a.document_id) FROM activation a
        WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL),
       (SELECT count(*) FROM visible s WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s)

-- name: active_contents
SELECT DISTINCT v.content_sha256, true FROM activation a JOIN document_version v ON v.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL

-- name: wrong_elections
-- of active documents that lost: without a winner; whose winner is not shown, not here, or has lost itself
SELECT count(*) FILTER (WHERE a.winner_id IS NULL),
       count(*) FILTER (WHERE a.winner_id IS NOT NULL AND w.document_id IS NULL),
       count(*) FILTER (WHERE w.winner_id IS NOT NULL OR w.suppressed),
       count(*)
FROM activation a
LEFT JOIN activation w ON w.document_id = a.winner_id AND w.to_release IS NULL
    AND w.tenant_id = a.tenant_id AND w.collection_id = a.collection_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
  AND (a.winner_id IS NOT NULL OR a.rule IS NOT NULL OR a.suppressed)

-- name: wrong_bands
-- of no signature, or of one that does not name them; named and not there
SELECT (SELECT count(*) FROM signature_band b
        WHERE b.tenant_id = %(tenant)s AND b.collection_id = %(collection)s
          AND NOT EXISTS (SELECT FROM signature g
                          WHERE g.id = b.signature_id AND g.collection_id = b.collection_id AND b.band = ANY(g.bands))),
       (SELECT count(*)
        FROM signature g CROSS JOIN LATERAL (SELECT DISTINCT unnest(g.bands) AS band) n
        WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s
          AND NOT EXISTS (SELECT FROM signature_band b
                          WHERE b.collection_id = g.collection_id AND b.band = n.band AND b.signature_id = g.id))

-- name: orphan_signatures
SELECT count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM document_version v
           WHERE v.collection_id = g.collection_id AND v.text_sha256 = g.text_sha256)),
       count(*)
FROM signature g
WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s

-- name: stale_staged
SELECT count(*), count(DISTINCT s.run_id) FROM staged_change s JOIN run r ON r.id = s.run_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s AND r.state NOT IN ('running', 'staged')

-- name: wrong_places
SELECT count(*) FILTER (WHERE p.n IS DISTINCT FROM nullif(v.chunks, 0)
                        OR p.first <> 0 OR p.last <> v.chunks - 1),
       count(*), coalesce(sum(p.n), 0)::bigint
FROM document_version v
LEFT JOIN (SELECT version_id, count(*) AS n, min(ordinal) AS first, max(ordinal) AS last
           FROM version_chunk WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
           GROUP BY version_id) p ON p.version_id = v.id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s

-- name: chunk_texts
SELECT c.hash, c.kind, c.text, coalesce(c.content_sha256, '') FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s

-- name: version_contents
SELECT d.uri, v.text_sha256, v.metadata_sha256, v.fingerprint, v.digest,
       coalesce(string_agg(c.hash, '' ORDER BY vc.ordinal), '')
FROM document_version v
JOIN document d ON d.id = v.document_id
LEFT JOIN version_chunk vc ON vc.version_id = v.id
LEFT JOIN chunk c ON c.id = vc.chunk_id
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
GROUP BY v.id, d.uri

-- name: wrong_intervals
SELECT count(*) FILTER (WHERE a.from_release < a.previous_end),
       count(*) FILTER (WHERE a.from_release > %(current)s OR a.to_release > %(current)s
                        OR opened.number IS NULL OR (a.to_release IS NOT NULL AND closed.number IS NULL)),
       count(*) FILTER (WHERE v.document_id <> a.document_id),
       count(*)
FROM (SELECT document_id, version_id, from_release, to_release,
             max(coalesce(to_release, 2147483647)) OVER (
                 PARTITION BY document_id ORDER BY from_release
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS previous_end
      FROM activation WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s) a
JOIN document_version v ON v.id = a.version_id
LEFT JOIN release opened ON opened.collection_id = %(collection)s AND opened.number = a.from_release
LEFT JOIN release closed ON closed.collection_id = %(collection)s AND closed.number = a.to_release

-- name: releases
SELECT r.number, r.digest, r.documents, r.chunks, r.missing, s.fingerprint
FROM release r JOIN embedding_space s ON s.id = r.space_id
WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s
ORDER BY r.number

-- name: activation_events
SELECT e.number, e.opens, v.digest, w.uri, e.suppressed
FROM (SELECT from_release AS number, true AS opens, version_id, winner_id, suppressed FROM activation
      WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
      UNION ALL
      SELECT to_release, false, version_id, winner_id, suppressed FROM activation
      WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND to_release IS NOT NULL) e
JOIN document_version v ON v.id = e.version_id
LEFT JOIN document w ON w.id = e.winner_id
ORDER BY e.number, e.opens

-- name: chunk_events
WITH step AS (
    SELECT vc.chunk_id, e.number, sum(e.n) AS n
    FROM (SELECT from_release AS number, 1 AS n, version_id FROM activation
          WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND NOT suppressed
          UNION ALL
          SELECT to_release, -1, version_id FROM activation
          WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND to_release IS NOT NULL
            AND NOT suppressed) e
    JOIN version_chunk vc ON vc.version_id = e.version_id
    GROUP BY vc.chunk_id, e.number
), held AS (
    SELECT number, n, sum(n) OVER (PARTITION BY chunk_id ORDER BY number) AS refs FROM step
)
SELECT number, count(*) FILTER (WHERE refs > 0 AND refs - n <= 0) - count(*) FILTER (WHERE refs <= 0 AND refs - n > 0)
FROM held GROUP BY number ORDER BY number

-- name: wrong_vectors
SELECT count(*) FILTER (WHERE NOT {is_sound}), count(*)
FROM (SELECT -(v.embedding <#> v.embedding) AS square FROM {vectors} v
      WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s) AS x

-- name: vector_index
SELECT i.relname
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_am m ON m.oid = i.relam AND m.amname = 'hnsw'
JOIN collection c ON c.id = %(collection)s AND c.tenant_id = %(tenant)s
WHERE x.indrelid = to_regclass(%(partition)s) AND x.indisvalid
ORDER BY i.relname LIMIT 1

-- name: sample_vectors
SELECT v.embedding::text FROM (
    SELECT collection_id, chunk_id FROM visible
    WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
    ORDER BY md5(chunk_id::text) LIMIT %(most)s) AS s
JOIN {vectors} v ON v.collection_id = s.collection_id AND v.chunk_id = s.chunk_id
WHERE v.tenant_id = %(tenant)s

-- name: sample_stored_vectors
-- shown or not
SELECT v.embedding::text FROM {vectors} v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = {collection}
ORDER BY md5(v.chunk_id::text) LIMIT %(most)s

-- name: missing_beside
-- the newest release of a space that can be shown again, and how many of its chunks have no vector there;
-- of a space that a purge has dropped since the snapshot nothing is said
WITH newest AS MATERIALIZED (
    SELECT max(r.number) AS number FROM release r
    WHERE r.tenant_id = %(tenant)s AND r.collection_id = %(collection)s AND r.space_id = %(space)s
      AND r.missing = 0 AND NOT r.vectors_dropped
      AND to_regclass(format('vectors_%%s_%%s', r.space_id, r.collection_id)) IS NOT NULL
), shown AS (
    SELECT DISTINCT vc.chunk_id
    FROM newest n
    JOIN activation a ON a.from_release <= n.number AND (a.to_release IS NULL OR a.to_release > n.number)
    JOIN version_chunk vc ON vc.version_id = a.version_id
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND NOT a.suppressed
)
SELECT (SELECT number FROM newest), count(*) FROM shown s
WHERE NOT EXISTS (SELECT FROM {vectors} v
                  WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s AND v.chunk_id = s.chunk_id)

-- name: all_contents
SELECT v.content_sha256, bool_or(EXISTS (
           SELECT FROM activation a WHERE a.version_id = v.id AND a.to_release IS NULL))
FROM document_version v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
GROUP BY v.content_sha256

-- name: still_referred
SELECT DISTINCT v.content_sha256 FROM document_version v
WHERE v.tenant_id = %(tenant)s AND v.collection_id = %(collection)s
  AND v.content_sha256 = ANY(%(hashes)s::bytea[])

-- name: referred_by_tenant
SELECT b.sha256 FROM unnest(%(hashes)s::bytea[]) AS b(sha256)
WHERE EXISTS (SELECT FROM collection c
              JOIN document_version v ON v.collection_id = c.id AND v.content_sha256 = b.sha256
              WHERE c.tenant_id = %(tenant)s)

-- name: orphan_chunks
SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM version_chunk vc WHERE vc.chunk_id = c.id)), count(*)
FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s
