-- name: document_matches
-- goes behind the other conditions on an activation `a`
AND EXISTS (
    SELECT FROM document_version v
    WHERE v.id = a.version_id AND v.tenant_id = %(tenant)s AND {conditions})

-- name: document_matches_alone
-- the same for a few activations that are found by something else: OFFSET keeps the planner, which takes
-- any filter for a narrow one, from beginning with the documents that match
AND EXISTS (
    SELECT FROM document_version v
    WHERE v.id = a.version_id AND v.tenant_id = %(tenant)s AND {conditions} OFFSET 0)

-- name: matching_documents
-- how many documents a filtered search looks through, at most how many chunks they hold, and which they are
SELECT count(*), coalesce(sum(held.chunks), 0)::bigint,
       CASE WHEN count(*) <= %(listed)s THEN array_agg(a.version_id) END
FROM activation a
JOIN document_version held ON held.id = a.version_id
WHERE a.tenant_id = %(tenant)s AND a.collection_id = %(collection)s AND a.from_release <= %(release)s
  AND (a.to_release IS NULL OR a.to_release > %(release)s) AND NOT a.suppressed
  {where}

-- name: document_is_listed
-- the same as document_matches, of the tenant's documents that were found by it
AND a.version_id = ANY(%(matching)s::bigint[])

-- name: column_equals
-- v is a version that document_matches holds to the tenant
fold_case({column}) = ANY(ARRAY(SELECT fold_case(x) FROM unnest({values}::text[]) x))

-- name: column_contains
-- v is a version that document_matches holds to the tenant
EXISTS (SELECT FROM unnest({values}::text[]) x WHERE strpos(fold_case({column}), fold_case(x)) > 0)

-- name: date_within
-- v is a version that document_matches holds to the tenant
EXISTS (
    SELECT FROM unnest({starts}::timestamptz[], {ends}::timestamptz[]) AS period (starts, ends)
    WHERE v.authored_at >= period.starts AND v.authored_at < period.ends)

-- name: date_from
-- v is a version that document_matches holds to the tenant
v.authored_at >= {moment}::timestamptz

-- name: date_before
-- v is a version that document_matches holds to the tenant
v.authored_at < {moment}::timestamptz

-- name: tag_equals
-- v is a version that document_matches holds to the tenant
EXISTS (
    SELECT FROM unnest(v.tags) AS tag
    WHERE fold_case(tag) = ANY(ARRAY(SELECT fold_case(x) FROM unnest({values}::text[]) x)))

-- name: tag_contains
-- v is a version that document_matches holds to the tenant
EXISTS (
    SELECT FROM unnest(v.tags) AS tag, unnest({values}::text[]) AS x
    WHERE strpos(fold_case(tag), fold_case(x)) > 0)

-- name: field_equals
-- v is a version that document_matches holds to the tenant
EXISTS (
    SELECT FROM jsonb_each_text(v.metadata) AS f
    WHERE fold_case(f.key) = fold_case({name})
      AND fold_case(f.value) = ANY(ARRAY(SELECT fold_case(x) FROM unnest({values}::text[]) x)))

-- name: field_contains
-- v is a version that document_matches holds to the tenant
EXISTS (
    SELECT FROM jsonb_each_text(v.metadata) AS f, unnest({values}::text[]) AS x
    WHERE fold_case(f.key) = fold_case({name}) AND strpos(fold_case(f.value), fold_case(x)) > 0)

-- name: path_equals
EXISTS (
    SELECT FROM document d
    WHERE d.id = a.document_id AND d.tenant_id = %(tenant)s AND d.uri ~ ANY({values}::text[]))

-- name: path_contains
EXISTS (
    SELECT FROM document d, unnest({values}::text[]) AS x
    WHERE d.id = a.document_id AND d.tenant_id = %(tenant)s AND strpos(fold_case(d.uri), fold_case(x)) > 0)

-- name: source_equals
EXISTS (
    SELECT FROM document d JOIN source s ON s.id = d.source_id
    WHERE d.id = a.document_id AND d.tenant_id = %(tenant)s
      AND fold_case(s.name) = ANY(ARRAY(SELECT fold_case(x) FROM unnest({values}::text[]) x)))

-- name: source_contains
EXISTS (
    SELECT FROM document d JOIN source s ON s.id = d.source_id, unnest({values}::text[]) AS x
    WHERE d.id = a.document_id AND d.tenant_id = %(tenant)s AND strpos(fold_case(s.name), fold_case(x)) > 0)
