-- Image collections: chunks that are images, and class prototypes.

-- Of a chunk that is an image: the sha256 of its file, without what accompanies it. Its vector depends on that
-- alone, so an image whose caption or class changes takes over the vector it has.
ALTER TABLE chunk ADD COLUMN content_sha256 bytea;
CREATE INDEX chunk_content_idx ON chunk (collection_id, content_sha256) WHERE content_sha256 IS NOT NULL;

-- Number of the last set of prototypes; a number is not given twice, whatever was dropped.
ALTER TABLE collection ADD COLUMN prototypes int NOT NULL DEFAULT 0;

-- The prototype of one class, named by its content: sets that do not differ in a class share it.
-- sum: (dim) int64, little endian, the exact running sum of the class's vectors in units of 2^-40.
-- vectors: (k, dim) float32, little endian, unit length.
CREATE TABLE prototype (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    space_id      int NOT NULL REFERENCES embedding_space,
    class         text NOT NULL,
    images        int NOT NULL CHECK (images > 0),
    sum           bytea NOT NULL,
    vectors       bytea NOT NULL,
    hash          bytea NOT NULL CHECK (length(hash) = 32),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id),
    CONSTRAINT prototype_hash_key UNIQUE (collection_id, hash)
);
ALTER TABLE prototype ALTER COLUMN sum SET STORAGE EXTERNAL, ALTER COLUMN vectors SET STORAGE EXTERNAL;

-- Versions of a collection's prototypes; the highest is the one in use. release: whose images it was first made
-- from; later ones may have led to the same set.
-- seen_release: the last release that was current while it was in use; is_rollback: chosen by hand, so it stays
-- in use until the next release, whatever the settings say.
-- settings: fingerprint of what was asked for; report: what is known of its quality, JSON.
CREATE TABLE prototype_set (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      int NOT NULL,
    collection_id  int NOT NULL,
    version        int NOT NULL CHECK (version > 0),
    release        int NOT NULL,
    release_digest bytea NOT NULL,
    seen_release   int NOT NULL,
    space_id       int NOT NULL REFERENCES embedding_space,
    settings       bytea NOT NULL,
    tau1           double precision NOT NULL,
    tau2           double precision NOT NULL,
    digest         bytea NOT NULL,
    report         jsonb NOT NULL,
    is_rollback    boolean NOT NULL,
    -- the last release that has its images: one chosen by hand is not of the release it serves
    images_release int NOT NULL GENERATED ALWAYS AS (CASE WHEN is_rollback THEN release ELSE seen_release END) STORED,
    note           text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id),
    UNIQUE (collection_id, version)
);

CREATE TABLE prototype_set_member (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    set_id        bigint NOT NULL REFERENCES prototype_set ON DELETE CASCADE,
    prototype_id  bigint NOT NULL REFERENCES prototype,
    PRIMARY KEY (set_id, prototype_id),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);
CREATE INDEX prototype_set_member_prototype_idx ON prototype_set_member (prototype_id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['prototype', 'prototype_set', 'prototype_set_member']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I USING (tenant_id = (SELECT current_tenant()))', t);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON prototype, prototype_set, prototype_set_member TO revector_app;
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO revector_app', current_schema());
    END IF;
END $$;
