-- name: store_signatures
WITH fresh AS (
    INSERT INTO signature (tenant_id, collection_id, params, text_sha256, kind, characters, minhash, shingles, words,
                           numbers, bands)
    SELECT %(tenant)s, %(collection)s, %(params)s, t.text, t.kind, t.characters, t.minhash, t.shingles, t.words,
           t.numbers, t.bands::bigint[]
    FROM unnest(%(text)s::bytea[], %(kind)s::text[], %(characters)s::int[], %(minhash)s::bytea[],
                %(shingles)s::bytea[], %(words)s::bytea[], %(numbers)s::bytea[], %(bands)s::text[])
         AS t(text, kind, characters, minhash, shingles, words, numbers, bands)
    ON CONFLICT ON CONSTRAINT signature_text_key DO NOTHING
    RETURNING id, tenant_id, collection_id, bands
)
INSERT INTO signature_band (tenant_id, collection_id, band, signature_id)
SELECT DISTINCT f.tenant_id, f.collection_id, b.band, f.id FROM fresh f, unnest(f.bands) AS b(band)

-- name: drop_signatures
-- of texts that no version has any more
WITH gone AS (
    DELETE FROM signature g
    WHERE g.tenant_id = %(tenant)s AND g.collection_id = %(collection)s AND g.text_sha256 = ANY(%(texts)s::bytea[])
      AND NOT EXISTS (SELECT FROM document_version v
                      WHERE v.collection_id = g.collection_id AND v.text_sha256 = g.text_sha256)
    RETURNING id, bands
), bands AS (
    DELETE FROM signature_band b USING gone
    WHERE b.tenant_id = %(tenant)s AND b.collection_id = %(collection)s AND b.band = ANY(gone.bands)
      AND b.signature_id = gone.id
)
SELECT count(*) FROM gone
