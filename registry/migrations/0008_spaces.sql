-- A collection may have several embedding spaces: the active one, one that is being built beside it, earlier ones.

-- Parameters of the HNSW index are part of a space.
ALTER TABLE embedding_space ADD COLUMN m int NOT NULL DEFAULT 16 CHECK (m BETWEEN 2 AND 100),
    ADD COLUMN ef_construction int NOT NULL DEFAULT 64 CHECK (ef_construction BETWEEN 4 AND 1000);

-- Vectors of a fixed set of texts or images, made in float32 when the space was first used: each run that loads the
-- model makes them again and compares. probes: sha256 of what was embedded. vectors: (N, dim) float32, little endian.
CREATE TABLE space_probe (
    space_id  int PRIMARY KEY REFERENCES embedding_space,
    probes    bytea NOT NULL CHECK (length(probes) = 32),
    vectors   bytea NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is known of a collection's vectors in a space. built_at ... recall: of its index, null where it has none.
-- seconds of the build; recall: share of the exact nearest neighbours that the index finds, null where not measured.
CREATE TABLE collection_space (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    space_id      int NOT NULL REFERENCES embedding_space,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    built_at      timestamptz,
    built_rows    bigint,
    seconds       double precision,
    recall        double precision CHECK (recall BETWEEN 0 AND 1),
    PRIMARY KEY (collection_id, space_id),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);
-- of all tenants: the owner is held by the policy too, unless it is taken off for a moment
ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
INSERT INTO collection_space (tenant_id, collection_id, space_id)
SELECT c.tenant_id, c.id, s.id FROM collection c, embedding_space s
WHERE to_regclass(format('vectors_%s_%s', s.id, c.id)) IS NOT NULL;
ALTER TABLE collection FORCE ROW LEVEL SECURITY;
ALTER TABLE collection_space ENABLE ROW LEVEL SECURITY;
ALTER TABLE collection_space FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON collection_space USING (tenant_id = (SELECT current_tenant()));

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT ON space_probe TO revector_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON collection_space TO revector_app;
    END IF;
END $$;
