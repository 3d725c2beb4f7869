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
-- comparison: of a reembed, JSON.
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
    comparison    jsonb,
    PRIMARY KEY (collection_id, space_id),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);
ALTER TABLE collection_space ENABLE ROW LEVEL SECURITY;
ALTER TABLE collection_space FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON collection_space USING (tenant_id = (SELECT current_tenant()));
INSERT INTO collection_space (tenant_id, collection_id, space_id)
SELECT c.tenant_id, c.id, s.id FROM collection c, embedding_space s
WHERE to_regclass(format('vectors_%s_%s', s.id, c.id)) IS NOT NULL;

-- Give a space of a collection back: all its vectors there. Not the active one's.
CREATE FUNCTION drop_vector_partition(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant()
        AND c.active_space_id IS DISTINCT FROM space;
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant, or has space % active', collection, space; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('revector:' || format('vectors_%s', space), 0));
    EXECUTE format('DROP TABLE IF EXISTS %I', format('vectors_%s_%s', space, collection));
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT ON space_probe TO revector_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON collection_space TO revector_app;
        GRANT EXECUTE ON FUNCTION drop_vector_partition TO revector_app;
    END IF;
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', 'drop_vector_partition(int, int)');
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, public, pg_temp', f, current_schema());
    END LOOP;
END $$;
