-- name: known_documents
SELECT d.uri, d.id, a.version_id, d.size, d.mtime_ns, d.ctime_ns, d.inode, d.etag,
       d.content_sha256, v.parser, v.fingerprint
FROM document d
JOIN activation a ON a.document_id = d.id AND a.to_release IS NULL
JOIN document_version v ON v.id = a.version_id
WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s
  AND (%(documents)s::bigint[] IS NULL OR d.id = ANY(%(documents)s::bigint[]))

-- name: documents_named
-- ids of documents that are named, or lie under what is named: between `name/` and `name0`
SELECT d.id
FROM unnest(%(names)s::text[]) AS n(uri) JOIN document d ON d.source_id = %(source)s AND d.uri = n.uri
WHERE d.tenant_id = %(tenant)s
UNION
SELECT d.id
FROM unnest(%(lows)s::text[], %(highs)s::text[]) AS r(low, high)
JOIN document d ON d.source_id = %(source)s AND d.uri COLLATE "C" >= r.low AND d.uri COLLATE "C" < r.high
WHERE d.tenant_id = %(tenant)s

-- name: count_active
SELECT count(*) FROM document d JOIN activation a ON a.document_id = d.id AND a.to_release IS NULL
WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s

-- name: holds_of_source
SELECT d.uri, h.parser, h.fingerprint
FROM hold h JOIN document d ON d.id = h.document_id
WHERE h.tenant_id = %(tenant)s AND d.source_id = %(source)s
  AND (%(documents)s::bigint[] IS NULL OR d.id = ANY(%(documents)s::bigint[]))

-- name: known_rejections
SELECT uri, retryable OR (error_class IN ('ParseTimeout', 'ParseCrashed') AND attempts < %(attempts)s), size, mtime_ns, ctime_ns, inode, etag, content_sha256, parser, fingerprint
FROM rejection
WHERE tenant_id = %(tenant)s AND source_id = %(source)s

-- name: held_documents
SELECT d.uri, d.id, d.size, d.mtime_ns, d.ctime_ns, d.inode, d.etag, d.content_sha256, h.parser, h.fingerprint
FROM hold h JOIN document d ON d.id = h.document_id
WHERE h.tenant_id = %(tenant)s AND d.source_id = %(source)s AND h.version_id IS NOT NULL
  AND (%(documents)s::bigint[] IS NULL OR d.id = ANY(%(documents)s::bigint[]))
  AND NOT EXISTS (SELECT FROM activation a WHERE a.document_id = d.id AND a.to_release IS NULL)

-- name: drop_holds
DELETE FROM hold WHERE tenant_id = %(tenant)s AND document_id = ANY(%(documents)s::bigint[])

-- name: restat_documents
UPDATE document d
SET size = s.size, mtime_ns = s.mtime_ns, ctime_ns = s.ctime_ns, inode = s.inode, etag = s.etag
FROM unnest(%(uris)s::text[], %(size)s::bigint[], %(mtime_ns)s::bigint[], %(ctime_ns)s::bigint[],
            %(inode)s::bigint[], %(etag)s::text[]) AS s(uri, size, mtime_ns, ctime_ns, inode, etag)
WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s AND d.uri = s.uri

-- name: restat_rejections
UPDATE rejection r
SET size = s.size, mtime_ns = s.mtime_ns, ctime_ns = s.ctime_ns, inode = s.inode, etag = s.etag
FROM unnest(%(uris)s::text[], %(size)s::bigint[], %(mtime_ns)s::bigint[], %(ctime_ns)s::bigint[],
            %(inode)s::bigint[], %(etag)s::text[]) AS s(uri, size, mtime_ns, ctime_ns, inode, etag)
WHERE r.tenant_id = %(tenant)s AND r.source_id = %(source)s AND r.uri = s.uri

-- name: stored_versions
SELECT d.uri, v.id, v.content_sha256, v.parser, v.fingerprint, v.digest, v.chunks
FROM document d
JOIN document_version v ON v.document_id = d.id
WHERE d.tenant_id = %(tenant)s AND d.source_id = %(source)s AND d.uri = ANY(%(uris)s)
ORDER BY d.uri, v.version

-- name: create_documents
INSERT INTO document (tenant_id, collection_id, source_id, uri)
SELECT %(tenant)s, %(collection)s, %(source)s, uri FROM unnest(%(uris)s::text[]) AS uri
ON CONFLICT (source_id, uri) DO NOTHING

-- name: document_ids
SELECT uri, id FROM document
WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND uri = ANY(%(uris)s)

-- name: create_version
INSERT INTO document_version (
    tenant_id, collection_id, document_id, version, content_sha256, parser, fingerprint, text_sha256,
    metadata_sha256, mime, title, author, authored_at, language, tags, metadata, authority, published, chunks,
    digest, problems, created_run)
VALUES (
    %(tenant)s, %(collection)s, %(document)s,
    (SELECT coalesce(max(version), 0) + 1 FROM document_version WHERE document_id = %(document)s),
    %(content_sha256)s, %(parser)s, %(fingerprint)s, %(text_sha256)s, %(metadata_sha256)s, %(mime)s, %(title)s,
    %(author)s, %(authored_at)s, %(language)s, %(tags)s, %(metadata)s, %(authority)s, %(published)s, %(chunks)s,
    %(digest)s, %(problems)s, %(run)s)
ON CONFLICT ON CONSTRAINT document_version_identity_key DO UPDATE SET created_run = document_version.created_run
RETURNING id

-- name: link_chunks
INSERT INTO version_chunk (tenant_id, collection_id, version_id, ordinal, chunk_id, char_start, char_end, page, heading)
SELECT %(tenant)s, %(collection)s, *
FROM unnest(%(version)s::bigint[], %(ordinal)s::int[], %(chunk)s::bigint[], %(char_start)s::int[],
            %(char_end)s::int[], %(page)s::int[], %(heading)s::text[])
ON CONFLICT (version_id, ordinal) DO NOTHING

-- name: stage
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, version_id, base_version_id,
                           size, mtime_ns, ctime_ns, inode, etag, content_sha256)
VALUES (%(tenant)s, %(collection)s, %(run)s, %(document)s, %(action)s, %(version)s, %(base)s,
        %(size)s, %(mtime_ns)s, %(ctime_ns)s, %(inode)s, %(etag)s, %(content_sha256)s)
ON CONFLICT (run_id, document_id) DO NOTHING

-- name: stage_retirements
INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, base_version_id)
SELECT %(tenant)s, %(collection)s, %(run)s, d.id, 'deleted', v.id
FROM unnest(%(document)s::bigint[], %(version)s::bigint[]) AS r(document_id, version_id)
JOIN document d ON d.id = r.document_id
LEFT JOIN document_version v ON v.id = r.version_id
ON CONFLICT (run_id, document_id) DO NOTHING

-- name: existing_versions
SELECT id FROM document_version WHERE tenant_id = %(tenant)s AND id = ANY(%(versions)s::bigint[])

-- name: drop_staged
DELETE FROM staged_change WHERE run_id = %(run)s AND tenant_id = %(tenant)s

-- name: require_running
SELECT FROM run WHERE id = %(run)s AND tenant_id = %(tenant)s AND state = %(state)s FOR SHARE

-- name: find_parsed
SELECT content_sha256, parser, document FROM parsed
WHERE tenant_id = %(tenant)s AND collection_id = %(collection)s
  AND (content_sha256, parser, parser_version) IN (
      SELECT * FROM unnest(%(hashes)s::bytea[], %(parsers)s::text[], %(versions)s::text[]))

-- name: store_parsed
INSERT INTO parsed (tenant_id, collection_id, content_sha256, parser, parser_version, document)
VALUES (%(tenant)s, %(collection)s, %(content_sha256)s, %(parser)s, %(parser_version)s, %(document)s)
ON CONFLICT (collection_id, content_sha256, parser) DO UPDATE
SET parser_version = excluded.parser_version, document = excluded.document
