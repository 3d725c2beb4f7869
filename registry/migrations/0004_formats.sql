-- Formats: documents read in part, and files that hold other files.

-- Parts of a document that could not be read, an array of {part, error, message}; the rest is indexed.
ALTER TABLE document_version ADD COLUMN problems jsonb NOT NULL DEFAULT '[]';
CREATE INDEX document_version_problems_idx ON document_version (collection_id) WHERE problems <> '[]';

-- The same bytes under the same pipeline are the same version, but for what a limit on time or memory had a
-- part in: there the next try may read more.
ALTER TABLE document_version
    DROP CONSTRAINT document_version_identity_key,
    ADD CONSTRAINT document_version_identity_key UNIQUE (document_id, content_sha256, fingerprint, digest);

-- Archives and mails as planning last saw them; inside: compressed JSON, what they hold and what was refused.
-- A file whose stat equals this one is not opened again.
CREATE TABLE container (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    source_id     int NOT NULL REFERENCES source,
    uri           text NOT NULL,
    size          bigint,
    mtime_ns      bigint,
    ctime_ns      bigint,
    inode         bigint,
    etag          text,
    fingerprint   bytea NOT NULL,
    inside        bytea NOT NULL,
    is_document   boolean NOT NULL,
    attempts      int NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, uri),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);
ALTER TABLE container ALTER COLUMN inside SET STORAGE EXTERNAL;
ALTER TABLE container ENABLE ROW LEVEL SECURITY;
ALTER TABLE container FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON container USING (tenant_id = (SELECT current_tenant()));

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON container TO revector_app;
    END IF;
END $$;
