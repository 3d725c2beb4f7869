-- name: find_tenant
SELECT id FROM tenant WHERE name = %(name)s

-- name: create_tenant
INSERT INTO tenant (name) VALUES (%(name)s) ON CONFLICT (name) DO NOTHING

-- name: find_collection
SELECT id, name, kind, active_space_id, current_release, election
FROM collection WHERE tenant_id = %(tenant)s AND name = %(name)s

-- name: get_collection
SELECT id, name, kind, active_space_id, current_release, election
FROM collection WHERE tenant_id = %(tenant)s AND id = %(collection)s

-- name: create_collection
INSERT INTO collection (tenant_id, name, kind, digest_state)
VALUES (%(tenant)s, %(name)s, %(kind)s, %(digest_state)s)
ON CONFLICT (tenant_id, name) DO NOTHING

-- name: list_collections
SELECT c.id, c.name, c.kind, c.current_release, s.model, s.revision, s.dim,
       coalesce(r.documents, 0), coalesce(r.chunks, 0), r.activated_at, r.digest,
       (SELECT count(*) FROM rejection j WHERE j.tenant_id = c.tenant_id AND j.collection_id = c.id)
FROM collection c
LEFT JOIN embedding_space s ON s.id = c.active_space_id
LEFT JOIN release r ON r.collection_id = c.id AND r.number = c.current_release
WHERE c.tenant_id = %(tenant)s
ORDER BY c.name LIMIT 1000

-- name: count_duplicates
SELECT count(*) FILTER (WHERE suppressed), count(*) FILTER (WHERE NOT suppressed)
FROM activation
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s AND to_release IS NULL AND winner_id IS NOT NULL

-- name: list_sources
SELECT id, name, root_url, include, exclude
FROM source WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s   AND (absorbed_by IS NULL OR EXISTS (
      SELECT FROM document d JOIN activation a ON a.document_id = d.id AND a.to_release IS NULL
      WHERE d.source_id = source.id) OR EXISTS (
      SELECT FROM hold h JOIN document d ON d.id = h.document_id
      WHERE d.source_id = source.id AND h.version_id IS NOT NULL))
ORDER BY name LIMIT 10000

-- name: create_source
INSERT INTO source (tenant_id, collection_id, name, root_url, include, exclude, authority)
VALUES (%(tenant)s, %(collection)s, %(name)s, %(root_url)s, %(include)s, %(exclude)s, %(authority)s)
ON CONFLICT ON CONSTRAINT source_root_key DO UPDATE SET absorbed_by = NULL

-- name: update_source
UPDATE source SET include = %(include)s, exclude = %(exclude)s
WHERE tenant_id = %(tenant)s AND id = %(source)s
  AND (include, exclude) IS DISTINCT FROM (%(include)s::text[], %(exclude)s::text[])

-- name: source_names
SELECT name FROM source WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
ORDER BY name LIMIT 10000

-- name: absorb_source
WITH forgotten AS (
    DELETE FROM rejection WHERE tenant_id = %(tenant)s AND source_id = %(source)s
), closed AS (
    DELETE FROM container WHERE tenant_id = %(tenant)s AND source_id = %(source)s
)
UPDATE source SET absorbed_by = %(by)s WHERE tenant_id = %(tenant)s AND id = %(source)s

-- name: find_space
SELECT id, fingerprint FROM embedding_space WHERE fingerprint = %(fingerprint)s

-- name: get_space
SELECT modality, provider, model, revision, dim, dtype, normalised, document_prompt, query_prompt, m, ef_construction
FROM embedding_space WHERE id = %(space)s

-- name: create_space
INSERT INTO embedding_space (modality, provider, model, revision, dim, dtype, normalised,
                             document_prompt, query_prompt, m, ef_construction, fingerprint)
VALUES (%(modality)s, %(provider)s, %(model)s, %(revision)s, %(dim)s, %(dtype)s, %(normalised)s,
        %(document_prompt)s, %(query_prompt)s, %(m)s, %(ef_construction)s, %(fingerprint)s)
ON CONFLICT (fingerprint) DO NOTHING

-- name: use_space
INSERT INTO collection_space (tenant_id, collection_id, space_id) VALUES (%(tenant)s, %(collection)s, %(space)s)
ON CONFLICT (collection_id, space_id) DO UPDATE SET used_at = clock_timestamp()

-- name: create_vector_partition
SELECT create_vector_partition(%(space)s, %(collection)s)
