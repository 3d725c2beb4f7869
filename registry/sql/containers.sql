-- name: known_containers
SELECT uri, size, mtime_ns, ctime_ns, inode, etag, fingerprint, inside, is_document, attempts
FROM container
WHERE tenant_id = %(tenant)s AND source_id = %(source)s
  AND (%(uris)s::text[] IS NULL OR uri = ANY(%(uris)s::text[]))

-- name: container_uris
SELECT uri FROM container WHERE tenant_id = %(tenant)s AND source_id = %(source)s

-- name: remember_container
INSERT INTO container (tenant_id, collection_id, source_id, uri, size, mtime_ns, ctime_ns, inode, etag,
                       fingerprint, inside, is_document, attempts)
VALUES (%(tenant)s, %(collection)s, %(source)s, %(uri)s, %(size)s, %(mtime_ns)s, %(ctime_ns)s, %(inode)s, %(etag)s,
        %(fingerprint)s, %(inside)s, %(is_document)s, %(attempts)s)
ON CONFLICT (source_id, uri) DO UPDATE SET
    size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = excluded.inode,
    etag = excluded.etag, fingerprint = excluded.fingerprint, inside = excluded.inside,
    is_document = excluded.is_document, attempts = excluded.attempts

-- name: drop_containers
DELETE FROM container WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND uri = ANY(%(uris)s)
