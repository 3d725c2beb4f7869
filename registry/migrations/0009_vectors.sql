-- Vectors as float32, as float16, or as float16 indexed by their signs; indexes built with the memory and the cores
-- that the caller gives; spaces that serve no more are given back.

ALTER TABLE embedding_space ADD CONSTRAINT embedding_space_dtype_check CHECK (dtype IN ('vector', 'halfvec', 'bit'));

-- deleted: vectors that the index has lost since it was built.
ALTER TABLE collection_space ADD COLUMN deleted bigint NOT NULL DEFAULT 0 CHECK (deleted >= 0);

-- vectors_dropped: those of its space were purged. Should the space be filled again, they are not there all the same.
ALTER TABLE release ADD COLUMN vectors_dropped boolean NOT NULL DEFAULT false;

-- Type of the column. The length is a number, so what comes out is safe to execute.
CREATE FUNCTION vector_column(space int) RETURNS text
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT format('%s(%s)', CASE s.dtype WHEN 'vector' THEN 'vector' ELSE 'halfvec' END, s.dim)
    FROM embedding_space s WHERE s.id = space
$$;

-- What HNSW indexes, and its parameters; null where it takes no vectors of that length: search stays exact.
CREATE FUNCTION vector_index_key(space int) RETURNS text
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE
        WHEN s.dtype = 'vector' AND s.dim <= 2000 THEN '(embedding vector_cosine_ops)'
        WHEN s.dtype = 'halfvec' AND s.dim <= 4000 THEN '(embedding halfvec_cosine_ops)'
        WHEN s.dtype = 'bit' THEN format('((binary_quantize(embedding)::bit(%s)) bit_hamming_ops)', s.dim)
    END || format(' WITH (m = %s, ef_construction = %s)', s.m, s.ef_construction)
    FROM embedding_space s WHERE s.id = space
$$;

-- As in 0002, with the column's type from vector_column.
CREATE OR REPLACE FUNCTION create_vector_partition(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    parent text := format('vectors_%s', space);
    part   text := format('vectors_%s_%s', space, collection);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('revector:' || parent, 0));
    IF to_regclass(part) IS NOT NULL THEN RETURN; END IF;
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    PERFORM FROM embedding_space s WHERE s.id = space;
    IF NOT FOUND THEN RAISE EXCEPTION 'there is no space %', space; END IF;
    IF to_regclass(parent) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (tenant_id int NOT NULL, collection_id int NOT NULL, '
            'chunk_id bigint NOT NULL, embedding %s NOT NULL, PRIMARY KEY (collection_id, chunk_id)) '
            'PARTITION BY LIST (collection_id)', parent, vector_column(space));
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

-- As in 0002; numbers of 2 bytes stay in the row at twice the length.
CREATE OR REPLACE FUNCTION build_vector_partition(space int, collection int, part text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (tenant_id = %s AND collection_id = %s))',
                   part, format('vectors_%s', space), current_tenant(), collection);
    -- in the row, not in TOAST, where a page can hold it: a scan reads it three times as fast
    IF EXISTS (SELECT FROM embedding_space s WHERE s.id = space
               AND s.dim <= CASE s.dtype WHEN 'vector' THEN 1900 ELSE 3800 END) THEN
        EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', part);
    END IF;
END $$;

-- Index a table of vectors with so much memory and so many workers; null workers are the server's own choice.
-- Workers share the graph in memory of the system's that may be small (64 MB in a container): without them, it is
-- the server process's own.
CREATE FUNCTION build_vector_index(space int, part text, memory_kb int, workers int) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    code text := format('CREATE INDEX %I ON %I USING hnsw %s', part || '_hnsw_idx', part, vector_index_key(space));
BEGIN
    PERFORM set_config('maintenance_work_mem', memory_kb || 'kB', true);
    IF workers IS NOT NULL THEN PERFORM set_config('max_parallel_maintenance_workers', workers::text, true); END IF;
    BEGIN
        EXECUTE code;
    EXCEPTION WHEN disk_full OR out_of_memory THEN
        PERFORM set_config('max_parallel_maintenance_workers', '0', true);
        EXECUTE code;
    END;
END $$;

-- Index a collection's vectors of a space; returns the seconds, null where there was nothing to build.
DROP FUNCTION create_vector_index(int, int);
CREATE FUNCTION create_vector_index(space int, collection int, memory_kb int, workers int) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    part  text := format('vectors_%s_%s', space, collection);
    began timestamptz;
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('revector:index:' || part, 0));
    IF vector_index_key(space) IS NULL OR to_regclass(part || '_hnsw_idx') IS NOT NULL THEN RETURN NULL; END IF;
    began := clock_timestamp();
    PERFORM build_vector_index(space, part, memory_kb, workers);
    EXECUTE format('ANALYZE %I (tenant_id, collection_id, chunk_id)', part);
    RETURN extract(epoch FROM clock_timestamp() - began);
END $$;

-- Drop what an interrupted CREATE or REINDEX INDEX CONCURRENTLY, or an interrupted copy, left. Each waits for its
-- lock at most lock_ms: an index that is being built holds one, and is left alone.
CREATE FUNCTION drop_broken_indexes(space int, collection int, lock_ms int) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    part   text := format('vectors_%s_%s', space, collection);
    fresh  text := part || '_new';
    broken text;
    gone   text[] := '{}';
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    PERFORM set_config('lock_timeout', lock_ms || 'ms', true);
    FOR broken IN SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                  WHERE x.indrelid = to_regclass(part) AND NOT x.indisvalid ORDER BY 1
    LOOP
        BEGIN
            EXECUTE format('DROP INDEX %I', broken);
            gone := gone || broken;
        EXCEPTION WHEN lock_not_available THEN NULL;
        END;
    END LOOP;
    BEGIN
        IF to_regclass(fresh) IS NOT NULL THEN
            EXECUTE format('DROP TABLE %I', fresh);
            gone := gone || fresh;
        END IF;
    EXCEPTION WHEN lock_not_available THEN NULL;
    END;
    RETURN gone;
END $$;

-- As in 0003, and a copy that was left behind does not stop it.
CREATE OR REPLACE FUNCTION begin_vector_rebuild(space int, collection int, lock_ms int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    fresh text := format('vectors_%s_%s_new', space, collection);
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    -- an autovacuum gives way only to who waits longer than deadlock_timeout, and the swap does not:
    -- it is sent away here, and kept away until the end of the transaction
    PERFORM set_config('lock_timeout', lock_ms || 'ms', true);
    EXECUTE format('LOCK TABLE %I IN SHARE UPDATE EXCLUSIVE MODE', format('vectors_%s_%s', space, collection));
    EXECUTE format('DROP TABLE IF EXISTS %I', fresh);
    PERFORM build_vector_partition(space, collection, fresh);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT INSERT ON %I TO revector_app', fresh);
    END IF;
END $$;

-- As in 0002, with the memory and workers of the caller; returns the seconds of the index, null where there is none.
DROP FUNCTION finish_vector_rebuild(int, int, int, int);
CREATE FUNCTION finish_vector_rebuild(
    space int, collection int, lock_ms int, attempts int, memory_kb int, workers int) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    parent  text := format('vectors_%s', space);
    part    text := format('vectors_%s_%s', space, collection);
    fresh   text := format('vectors_%s_%s_new', space, collection);
    indexed boolean := to_regclass(part || '_hnsw_idx') IS NOT NULL;
    began   timestamptz;
    seconds double precision;
    there   bigint;
    copied  bigint;
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    EXECUTE format('SELECT count(*) FROM %I', part) INTO there;
    EXECUTE format('SELECT count(*) FROM %I', fresh) INTO copied;
    IF there <> copied THEN RAISE EXCEPTION '% rows were copied of %', copied, there; END IF;
    IF indexed THEN
        began := clock_timestamp();
        PERFORM build_vector_index(space, fresh, memory_kb, workers);
        seconds := extract(epoch FROM clock_timestamp() - began);
    END IF;
    EXECUTE format('ANALYZE %I', fresh);
    PERFORM set_config('lock_timeout', lock_ms || 'ms', true);
    FOR attempt IN 1 .. attempts LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, part);
            IF (to_regclass(part || '_hnsw_idx') IS NOT NULL) <> indexed THEN
                RAISE lock_not_available USING MESSAGE = 'an ingest has built the index meanwhile';
            END IF;
            EXECUTE format('DROP TABLE %I', part);
            EXECUTE format('ALTER TABLE %I RENAME TO %I', fresh, part);
            EXECUTE format('ALTER INDEX %I RENAME TO %I', fresh || '_pkey', part || '_pkey');
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I', part, fresh || '_check', part || '_check');
            IF indexed THEN
                EXECUTE format('ALTER INDEX %I RENAME TO %I', fresh || '_hnsw_idx', part || '_hnsw_idx');
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, part, collection);
            PERFORM guard_vector_partition(part);
            RETURN seconds;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = attempts THEN RAISE; END IF;
        END;
        PERFORM pg_sleep(0.1 + 0.4 * random());
    END LOOP;
END $$;

-- As in 0008; searches of other collections in that space wait at most lock_ms at a time for its lock on the parent.
DROP FUNCTION drop_vector_partition(int, int);
CREATE FUNCTION drop_vector_partition(space int, collection int, lock_ms int, attempts int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant()
        AND c.active_space_id IS DISTINCT FROM space;
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant, or has space % active', collection, space; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('revector:vectors_' || space, 0));
    PERFORM set_config('lock_timeout', lock_ms || 'ms', true);
    FOR attempt IN 1 .. attempts LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS %I', format('vectors_%s_%s_new', space, collection));
            EXECUTE format('DROP TABLE IF EXISTS %I', format('vectors_%s_%s', space, collection));
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = attempts THEN RAISE; END IF;
        END;
        PERFORM pg_sleep(0.1 + 0.4 * random());
    END LOOP;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('vector_column', 'vector_index_key', 'build_vector_index', 'create_vector_index',
                               'drop_broken_indexes', 'finish_vector_rebuild', 'drop_vector_partition')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT EXECUTE ON FUNCTION create_vector_index, drop_broken_indexes, finish_vector_rebuild,
            drop_vector_partition TO revector_app;
    END IF;
    -- as in 0002: pg_temp comes last; also in what runs inside of these with the owner's rights
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND (p.prosecdef OR p.proname IN ('vector_column', 'vector_index_key', 'build_vector_index',
                                               'build_vector_partition', 'guard_vector_partition',
                                               'create_vector_view'))
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, public, pg_temp', f, current_schema());
    END LOOP;
END $$;
