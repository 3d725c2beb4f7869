-- History: holds after a rollback, tags, what purge has taken, search in an old release, views for readers.

-- A login named revector_reader_<tenant id>, or that and _ and more, reads one tenant, whatever it sets.
CREATE OR REPLACE FUNCTION current_tenant() RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN starts_with(session_user::text, 'revector_reader_')
    THEN substring(session_user::text FROM '^revector_reader_([0-9]{1,9})(?:_|$)')::int
    ELSE nullif(current_setting('app.tenant_id', true), '')::int END;

-- Documents of the release that purge or forget has removed: above 0 it cannot be shown again.
ALTER TABLE release ADD COLUMN missing int NOT NULL DEFAULT 0 CHECK (missing >= 0);

-- What no version refers to is kept for a while after this, for runs that crashed to reuse.
ALTER TABLE chunk ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();

-- Names for releases; a named one is kept by retention.
CREATE TABLE release_tag (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    name          text NOT NULL CHECK (name <> '' AND name !~ '^[0-9]+$'),
    number        int NOT NULL,
    tagged_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, name),
    FOREIGN KEY (collection_id, number) REFERENCES release (collection_id, number)
);

-- What the source last had for a document, where a rollback took it out of view: an ingest leaves
-- the document alone until its file, or the pipeline, differs from this.
CREATE TABLE hold (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    document_id   bigint PRIMARY KEY REFERENCES document,
    release       int NOT NULL,
    -- the version taken back; null where the source had lost the document. Not a foreign key: it may be purged
    version_id    bigint,
    parser        text,
    fingerprint   bytea,
    CHECK ((version_id IS NULL) = (fingerprint IS NULL) AND (parser IS NULL) = (fingerprint IS NULL))
);
CREATE INDEX hold_collection_idx ON hold (collection_id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['release_tag', 'hold']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I '
                       'USING (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (tenant_id, collection_id) '
                       'REFERENCES collection (tenant_id, id)', t);
    END LOOP;
END $$;

-- What the foreign keys of a purge look through.
CREATE INDEX staged_change_document_idx ON staged_change (document_id);
CREATE INDEX staged_change_version_idx ON staged_change (version_id);
CREATE INDEX staged_change_base_idx ON staged_change (base_version_id);
CREATE INDEX document_version_duplicate_idx ON document_version (duplicate_of) WHERE duplicate_of IS NOT NULL;
-- Which versions still need a blob or a parser result.
CREATE INDEX document_version_content_idx ON document_version (collection_id, content_sha256);

-- As in 0001, and statistics with a new index: without them the planner takes a collection for a small part
-- of its own partition, and reads all of it where the index would do.
CREATE OR REPLACE FUNCTION create_vector_index(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET maintenance_work_mem = '512MB' AS $$
DECLARE
    part text := format('vectors_%s_%s', space, collection);
    ops  text;
BEGIN
    SELECT dtype || '_cosine_ops' INTO ops FROM embedding_space
    WHERE id = space AND (dtype <> 'vector' OR dim <= 2000);
    IF ops IS NULL OR to_regclass(part || '_hnsw_idx') IS NOT NULL THEN RETURN; END IF;
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING hnsw (embedding %s)', part || '_hnsw_idx', part, ops);
    EXECUTE format('ANALYZE %I (tenant_id, collection_id, chunk_id)', part);
END $$;

-- As in 0001, but whole numbers are summed: they give the same score in whatever order rows are met, so that
-- a search in a release finds the same later as it did then.
CREATE OR REPLACE FUNCTION keyword_hits(collection int, query_grams int[], most int)
RETURNS TABLE (chunk_id bigint, score float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH hit AS MATERIALIZED (
        SELECT c.id, q.gram, cardinality(c.grams) AS length
        FROM unnest(query_grams) AS q(gram)
        JOIN chunk c ON c.grams @> ARRAY[q.gram]
        JOIN visible v ON v.collection_id = c.collection_id AND v.chunk_id = c.id
        WHERE c.collection_id = collection AND c.tenant_id = current_tenant()
    ), total AS (
        SELECT greatest(count(*), 1)::float8 AS n FROM visible v
        WHERE v.collection_id = collection AND v.tenant_id = current_tenant()
    ), idf AS (
        SELECT hit.gram, ln(1 + (total.n - count(*) + 0.5) / (count(*) + 0.5)) AS weight
        FROM hit, total GROUP BY hit.gram, total.n
    ), mean AS (
        SELECT greatest(avg(length), 1)::float8 AS length FROM hit
    )
    SELECT hit.id, sum((idf.weight * 2.2e9 / (1 + 1.2 * (0.25 + 0.75 * hit.length / mean.length)))::bigint)::float8 / 1e9
    FROM hit JOIN idf USING (gram), mean
    GROUP BY hit.id ORDER BY 2 DESC, 1 LIMIT most
$$;

-- The same over what an earlier release showed.
CREATE FUNCTION keyword_hits_as_of(collection int, release_number int, query_grams int[], most int)
RETURNS TABLE (chunk_id bigint, score float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH found AS MATERIALIZED (
        SELECT c.id, q.gram, cardinality(c.grams) AS length
        FROM unnest(query_grams) AS q(gram)
        JOIN chunk c ON c.grams @> ARRAY[q.gram]
        WHERE c.collection_id = collection AND c.tenant_id = current_tenant()
    ), hit AS MATERIALIZED (
        SELECT f.id, f.gram, f.length
        FROM found f
        WHERE EXISTS (
            SELECT FROM version_chunk vc JOIN activation a ON a.version_id = vc.version_id
            WHERE vc.chunk_id = f.id AND a.from_release <= release_number
              AND (a.to_release IS NULL OR a.to_release > release_number))
    ), total AS (
        SELECT greatest(max(r.chunks), 1)::float8 AS n FROM release r
        WHERE r.collection_id = collection AND r.number = release_number AND r.tenant_id = current_tenant()
    ), idf AS (
        SELECT hit.gram, ln(1 + (total.n - count(*) + 0.5) / (count(*) + 0.5)) AS weight
        FROM hit, total GROUP BY hit.gram, total.n
    ), mean AS (
        SELECT greatest(avg(length), 1)::float8 AS length FROM hit
    )
    SELECT hit.id, sum((idf.weight * 2.2e9 / (1 + 1.2 * (0.25 + 0.75 * hit.length / mean.length)))::bigint)::float8 / 1e9
    FROM hit JOIN idf USING (gram), mean
    GROUP BY hit.id ORDER BY 2 DESC, 1 LIMIT most
$$;

-- Every place of a chunk in what the current release shows. The reader's own rights and tenant count.
CREATE VIEW current_places WITH (security_invoker = true) AS
SELECT k.name AS collection, a.collection_id, k.current_release AS release, s.name AS source, d.uri, v.version,
       vc.ordinal, vc.chunk_id, vc.char_start, vc.char_end, vc.page, vc.heading, v.mime, v.title, v.author,
       v.authored_at, v.language, v.tags, v.metadata, v.tenant_id
FROM activation a
JOIN document_version v ON v.id = a.version_id
JOIN document d ON d.id = a.document_id
JOIN source s ON s.id = d.source_id
JOIN collection k ON k.id = a.collection_id
JOIN version_chunk vc ON vc.version_id = v.id
WHERE a.to_release IS NULL;

-- The current release's chunks with their vectors of one space, each chunk once.
CREATE FUNCTION create_vector_view(space int) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW %I WITH (security_invoker = true) AS '
        'SELECT k.name AS collection, x.collection_id, k.current_release AS release, c.id AS chunk_id, c.hash, c.kind, c.text, '
        'c.tokens, x.embedding, x.tenant_id '
        'FROM %I x JOIN visible s ON s.collection_id = x.collection_id AND s.chunk_id = x.chunk_id '
        'JOIN chunk c ON c.id = x.chunk_id '
        'JOIN collection k ON k.id = x.collection_id AND k.active_space_id = %s',
        format('current_chunks_%s', space), format('vectors_%s', space), space);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT SELECT ON %I TO revector_app', format('current_chunks_%s', space));
    END IF;
END $$;

-- As in 0001, and the view for readers.
CREATE OR REPLACE FUNCTION create_vector_partition(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    parent text := format('vectors_%s', space);
    part   text := format('vectors_%s_%s', space, collection);
    kind   text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('revector:' || parent, 0));
    IF to_regclass(part) IS NOT NULL THEN RETURN; END IF;
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    IF to_regclass(parent) IS NULL THEN
        SELECT format('%s(%s)', s.dtype, s.dim) INTO STRICT kind FROM embedding_space s WHERE s.id = space;
        EXECUTE format('CREATE TABLE %I (tenant_id int NOT NULL, collection_id int NOT NULL, '
            'chunk_id bigint NOT NULL, embedding %s NOT NULL, PRIMARY KEY (collection_id, chunk_id)) '
            'PARTITION BY LIST (collection_id)', parent, kind);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', parent);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', parent);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I '
                       'USING (tenant_id = (SELECT current_tenant()))', parent);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO revector_app', parent);
        END IF;
        PERFORM create_vector_view(space);
    END IF;
    PERFORM build_vector_partition(space, collection, part);
    -- attached, not created as a partition: searches of other collections need not wait
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, part, collection);
    PERFORM guard_vector_partition(part);
END $$;

-- A table that can become the partition of a collection; not attached yet.
CREATE FUNCTION build_vector_partition(space int, collection int, part text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (tenant_id = %s AND collection_id = %s))',
                   part, format('vectors_%s', space), current_tenant(), collection);
    -- in the row, not in TOAST, where a page can hold it: a scan reads it three times as fast
    IF EXISTS (SELECT FROM embedding_space s WHERE s.id = space AND s.dtype = 'vector' AND s.dim <= 1900) THEN
        EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', part);
    END IF;
END $$;

-- Nobody but the owner reads a partition by its name, and only its own tenant writes into it.
CREATE FUNCTION guard_vector_partition(part text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER guard_tenant BEFORE INSERT ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION guard_tenant(%s)', part, current_tenant());
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT INSERT ON %I TO revector_app', part);
    END IF;
END $$;

-- A collection's vectors in a new table without the space that purge left. The caller holds the
-- collection, copies the rows into vectors_<space>_<collection>_new, then calls finish_vector_rebuild
-- in the same transaction. Rows are copied with FREEZE: a search that began before the swap sees them.
CREATE FUNCTION begin_vector_rebuild(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    fresh text := format('vectors_%s_%s_new', space, collection);
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    PERFORM build_vector_partition(space, collection, fresh);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT INSERT ON %I TO revector_app', fresh);
    END IF;
END $$;

-- Index the copy and let it take the partition's place. Searches wait for the swap alone, and the
-- swap waits for searches at most lock_ms at a time: who comes meanwhile queues behind it.
CREATE FUNCTION finish_vector_rebuild(space int, collection int, lock_ms int, attempts int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET maintenance_work_mem = '512MB' AS $$
DECLARE
    parent text := format('vectors_%s', space);
    part   text := format('vectors_%s_%s', space, collection);
    fresh  text := format('vectors_%s_%s_new', space, collection);
    ops    text;
    there  bigint;
    copied bigint;
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    EXECUTE format('SELECT count(*) FROM %I', part) INTO there;
    EXECUTE format('SELECT count(*) FROM %I', fresh) INTO copied;
    IF there <> copied THEN RAISE EXCEPTION '% rows were copied of %', copied, there; END IF;
    IF to_regclass(part || '_hnsw_idx') IS NOT NULL THEN
        SELECT dtype || '_cosine_ops' INTO STRICT ops FROM embedding_space WHERE id = space;
        EXECUTE format('CREATE INDEX %I ON %I USING hnsw (embedding %s)', fresh || '_hnsw_idx', fresh, ops);
    END IF;
    EXECUTE format('ANALYZE %I', fresh);
    PERFORM set_config('lock_timeout', lock_ms || 'ms', true);
    FOR attempt IN 1 .. attempts LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, part);
            IF (to_regclass(part || '_hnsw_idx') IS NULL) <> (ops IS NULL) THEN
                RAISE lock_not_available USING MESSAGE = 'an ingest has built the index meanwhile';
            END IF;
            EXECUTE format('DROP TABLE %I', part);
            EXECUTE format('ALTER TABLE %I RENAME TO %I', fresh, part);
            EXECUTE format('ALTER INDEX %I RENAME TO %I', fresh || '_pkey', part || '_pkey');
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I', part, fresh || '_check', part || '_check');
            IF ops IS NOT NULL THEN
                EXECUTE format('ALTER INDEX %I RENAME TO %I', fresh || '_hnsw_idx', part || '_hnsw_idx');
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, part, collection);
            PERFORM guard_vector_partition(part);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = attempts THEN RAISE; END IF;
        END;
        PERFORM pg_sleep(0.1 + 0.4 * random());
    END LOOP;
END $$;

DO $$
DECLARE
    s int;
    f regprocedure;
BEGIN
    FOR s IN SELECT id FROM embedding_space WHERE to_regclass(format('vectors_%s', id)) IS NOT NULL
    LOOP
        PERFORM create_vector_view(s);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON release_tag, hold TO revector_app;
        GRANT SELECT ON current_places TO revector_app;
        GRANT EXECUTE ON FUNCTION keyword_hits_as_of TO revector_app;
        GRANT EXECUTE ON FUNCTION begin_vector_rebuild, finish_vector_rebuild TO revector_app;
    END IF;
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
    -- a path that does not name pg_temp begins with it: a caller's own table would be read with the owner's rights
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, public, pg_temp', f, current_schema());
    END LOOP;
    -- pgvector may lie in this schema too; its functions, <=> among them, are for all, as in any database
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
             JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
             WHERE d.deptype = 'e' AND e.extname = 'vector' AND p.pronamespace = current_schema()::regnamespace
               AND pg_has_role(p.proowner, 'USAGE')
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', f);
    END LOOP;
END $$;
