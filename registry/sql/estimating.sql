-- name: format_sizes
-- bytes, chunks and tokens of some documents of each format; one that is kept out of search is not embedded.
-- Every n-th one by a hash of the id, as ids follow names: a.docx, a.pdf, b.docx, b.pdf.
WITH sampled AS (
    SELECT a.document_id, a.version_id, a.suppressed
    FROM activation a
    JOIN collection c ON c.id = a.collection_id
    JOIN release e ON e.collection_id = c.id AND e.number = c.current_release
    WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.to_release IS NULL
      AND (hashint8(a.document_id) & 2147483647) %% greatest(1, e.documents / %(documents)s) = 0
), known AS (
    SELECT lower(coalesce(substring(d.uri FROM '\.([^./]{1,12})$'), '')) AS format, d.size, s.version_id, s.suppressed
    FROM sampled s JOIN document d ON d.id = s.document_id
    WHERE d.size > 0
), chosen AS (
    SELECT k.*, row_number() OVER (PARTITION BY k.format ORDER BY k.version_id DESC) AS place FROM known k
)
SELECT o.format, count(*), sum(o.size), sum(t.chunks), sum(t.tokens)
FROM chosen o CROSS JOIN LATERAL (
    SELECT count(*) AS chunks, coalesce(sum(c.tokens), 0) AS tokens
    FROM version_chunk vc JOIN chunk c ON c.id = vc.chunk_id
    WHERE vc.version_id = o.version_id AND NOT o.suppressed
) AS t
WHERE o.place <= %(most)s
GROUP BY o.format ORDER BY o.format LIMIT 200

-- name: embedding_speed
-- of the last runs that embedded something with that model, however its vectors are stored: this collection's,
-- else those of others. A reembed counts its wall time, less standing back for searches.
WITH same AS (
    SELECT id FROM embedding_space
    WHERE (modality, provider, model, revision, dim)
        = (%(modality)s, %(provider)s, %(model)s, %(revision)s, %(dim)s)
)
SELECT sum(texts), sum(seconds), sum(tokens) FILTER (WHERE tokens > 0), sum(seconds) FILTER (WHERE tokens > 0), avg(model)
FROM (
    SELECT r.texts, r.tokens, r.seconds, r.model
    FROM collection c CROSS JOIN LATERAL (
        SELECT coalesce(u.stats #>> '{chunks,embedded}', u.stats ->> 'embedded')::bigint AS texts,
               (u.stats ->> 'tokens')::bigint AS tokens,
               coalesce((u.stats #>> '{seconds,model}')::float8, 0) AS model,
               (u.stats #>> '{seconds,embed}')::float8 - coalesce((u.stats ->> 'paused')::float8, 0) AS seconds,
               e.activated_at
        FROM release e JOIN run u ON u.id = e.run_id AND u.tenant_id = e.tenant_id
        WHERE e.tenant_id = c.tenant_id AND e.collection_id = c.id AND e.kind IN ('ingest', 'reembed')
          AND e.space_id IN (SELECT id FROM same)
          -- a run that was held back and is shown after a switch has embedded with the model before it
          AND (e.kind = 'reembed' OR coalesce((
              SELECT x.space_id FROM release x
              WHERE x.tenant_id = e.tenant_id AND x.collection_id = e.collection_id AND x.number < e.number
                AND x.activated_at <= u.started_at
              ORDER BY x.number DESC LIMIT 1), e.space_id) IN (SELECT id FROM same))
          -- one that wrote stored vectors in another way spent its time on that
          AND coalesce((u.stats ->> 'converted')::bigint, 0) = 0
        ORDER BY e.number DESC LIMIT CASE WHEN c.id = %(collection)s THEN 50 ELSE 5 END
    ) AS r
    WHERE c.tenant_id = %(tenant)s AND r.texts > 0 AND r.seconds > 0
    ORDER BY c.id = %(collection)s DESC, r.activated_at DESC LIMIT %(most)s
) AS last

-- name: count_tokens
SELECT coalesce(sum(c.tokens), 0) FROM chunk c
WHERE c.tenant_id = %(tenant)s AND c.collection_id = %(collection)s AND c.id = ANY(%(ids)s::bigint[])

-- name: shown_tokens
SELECT count(*), coalesce(sum(c.tokens), 0) FROM visible s JOIN chunk c ON c.id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s

-- name: unembedded_tokens
SELECT count(*), coalesce(sum(c.tokens), 0)
FROM visible s JOIN chunk c ON c.id = s.chunk_id
LEFT JOIN {vectors} v ON v.collection_id = {collection} AND v.chunk_id = s.chunk_id
WHERE s.tenant_id = %(tenant)s AND s.collection_id = %(collection)s AND v.chunk_id IS NULL
