-- The registry's first schema. Frozen by checksum: a change goes into a new file.
-- Every tenant table carries tenant_id and is guarded by row level security.

CREATE FUNCTION current_tenant() RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.tenant_id', true), '')::int;

CREATE TABLE tenant (
    id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE embedding_space (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    modality        text NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    revision        text NOT NULL,
    dim             int NOT NULL CHECK (dim > 0),
    dtype           text NOT NULL,
    normalised      boolean NOT NULL,
    document_prompt text NOT NULL,
    query_prompt    text NOT NULL,
    fingerprint     bytea NOT NULL UNIQUE,
    state           text NOT NULL DEFAULT 'ready' CHECK (state IN ('building', 'ready', 'retired'))
);

CREATE TABLE collection (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       int NOT NULL REFERENCES tenant,
    name            text NOT NULL,
    kind            text NOT NULL DEFAULT 'documents' CHECK (kind IN ('documents', 'images')),
    config          jsonb NOT NULL DEFAULT '{}',
    active_space_id int REFERENCES embedding_space,
    current_release int NOT NULL DEFAULT 0,
    digest_state    bytea NOT NULL,
    UNIQUE (tenant_id, name),
    -- what every table below refers to: a row cannot belong to one tenant and another's collection
    UNIQUE (tenant_id, id)
);

CREATE TABLE run (
    id                  uuid PRIMARY KEY,
    tenant_id           int NOT NULL,
    collection_id       int NOT NULL,
    flow                text NOT NULL,
    trigger             text NOT NULL,
    prefect_flow_run_id uuid,
    scope               text NOT NULL,
    started_at          timestamptz NOT NULL DEFAULT now(),
    finished_at         timestamptz,
    state               text NOT NULL DEFAULT 'running' CHECK (state IN
                        ('running', 'succeeded', 'unchanged', 'stopped', 'staged', 'failed', 'crashed')),
    stats               jsonb NOT NULL DEFAULT '{}',
    error               text
);
CREATE INDEX run_collection_started_idx ON run (collection_id, started_at DESC);

CREATE TABLE release (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    number        int NOT NULL CHECK (number > 0),
    run_id        uuid NOT NULL REFERENCES run,
    kind          text NOT NULL CHECK (kind IN ('ingest', 'rollback', 'purge', 'reembed')),
    space_id      int NOT NULL REFERENCES embedding_space,
    activated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    digest        bytea NOT NULL,
    documents     bigint NOT NULL,
    chunks        bigint NOT NULL,
    note          text NOT NULL DEFAULT '',
    PRIMARY KEY (collection_id, number),
    CONSTRAINT release_run_key UNIQUE (collection_id, run_id)
);

CREATE TABLE source (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    name          text NOT NULL,
    root_url      text NOT NULL,
    authority     int NOT NULL DEFAULT 0,
    include       text[] NOT NULL DEFAULT '{}',
    exclude       text[] NOT NULL DEFAULT '{}',
    absorbed_by   int REFERENCES source,
    CONSTRAINT source_name_key UNIQUE (collection_id, name),
    CONSTRAINT source_root_key UNIQUE (collection_id, root_url)
);

-- size .. etag and content_sha256 are those of the bytes last found equal to the active version.
CREATE TABLE document (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      int NOT NULL,
    collection_id  int NOT NULL,
    source_id      int NOT NULL REFERENCES source,
    uri            text NOT NULL,
    size           bigint,
    mtime_ns       bigint,
    ctime_ns       bigint,
    inode          bigint,
    etag           text,
    content_sha256 bytea,
    UNIQUE (source_id, uri)
);
CREATE INDEX document_collection_idx ON document (collection_id);

CREATE TABLE document_version (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       int NOT NULL,
    collection_id   int NOT NULL,
    document_id     bigint NOT NULL REFERENCES document,
    version         int NOT NULL CHECK (version > 0),
    content_sha256  bytea NOT NULL,
    parser          text NOT NULL,
    fingerprint     bytea NOT NULL,
    text_sha256     bytea NOT NULL,
    metadata_sha256 bytea NOT NULL,
    mime            text NOT NULL,
    title           text,
    author          text,
    authored_at     timestamptz,
    language        text,
    tags            text[] NOT NULL DEFAULT '{}',
    metadata        jsonb NOT NULL DEFAULT '{}',
    authority       int NOT NULL DEFAULT 0,
    published       boolean NOT NULL DEFAULT true,
    duplicate_of    bigint REFERENCES document_version,
    chunks          int NOT NULL,
    digest          bytea NOT NULL,
    created_run     uuid NOT NULL REFERENCES run,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (document_id, version),
    -- the same bytes under the same pipeline are the same version, whenever they come back
    CONSTRAINT document_version_identity_key UNIQUE (document_id, content_sha256, fingerprint)
);

-- Version v of a document is shown in releases from_release <= n < to_release; open = now.
CREATE TABLE activation (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    document_id   bigint NOT NULL REFERENCES document,
    version_id    bigint NOT NULL REFERENCES document_version,
    from_release  int NOT NULL,
    to_release    int CHECK (to_release > from_release),
    PRIMARY KEY (document_id, from_release),
    FOREIGN KEY (collection_id, from_release) REFERENCES release (collection_id, number)
        DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX activation_open_idx ON activation (document_id) WHERE to_release IS NULL;
CREATE INDEX activation_version_idx ON activation (version_id);
CREATE INDEX activation_from_idx ON activation (collection_id, from_release);
CREATE INDEX activation_to_idx ON activation (collection_id, to_release);

-- grams: 32-bit hashes of words and Hangul/CJK character bigrams, salted by collection.
CREATE TABLE chunk (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    hash          bytea NOT NULL CHECK (length(hash) = 16),
    kind          text NOT NULL,
    text          text NOT NULL,
    tokens        int NOT NULL,
    grams         int[] NOT NULL,
    CONSTRAINT chunk_hash_key UNIQUE (collection_id, hash)
);
CREATE INDEX chunk_grams_idx ON chunk USING gin (grams);

CREATE TABLE version_chunk (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    version_id    bigint NOT NULL REFERENCES document_version,
    ordinal       int NOT NULL,
    chunk_id      bigint NOT NULL REFERENCES chunk,
    char_start    int NOT NULL,
    char_end      int NOT NULL,
    page          int,
    heading       text NOT NULL DEFAULT '',
    PRIMARY KEY (version_id, ordinal)
);
CREATE INDEX version_chunk_chunk_idx ON version_chunk (chunk_id);

-- What the current release shows; refs counts version_chunk rows of active versions.
CREATE TABLE visible (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    chunk_id      bigint NOT NULL REFERENCES chunk,
    refs          int NOT NULL CONSTRAINT visible_refs_positive CHECK (refs > 0),
    PRIMARY KEY (collection_id, chunk_id)
);
CREATE INDEX visible_chunk_idx ON visible (chunk_id);

-- What a run has prepared: activation applies it in one transaction.
CREATE TABLE staged_change (
    tenant_id       int NOT NULL,
    collection_id   int NOT NULL,
    run_id          uuid NOT NULL REFERENCES run,
    document_id     bigint NOT NULL REFERENCES document,
    action          text NOT NULL CHECK (action IN ('added', 'changed', 'moved', 'deleted', 'restat')),
    version_id      bigint REFERENCES document_version,
    base_version_id bigint REFERENCES document_version,
    size            bigint,
    mtime_ns        bigint,
    ctime_ns        bigint,
    inode           bigint,
    etag            text,
    content_sha256  bytea,
    PRIMARY KEY (run_id, document_id),
    CHECK ((action = 'deleted') = (version_id IS NULL))
);

CREATE TABLE rejection (
    tenant_id      int NOT NULL,
    collection_id  int NOT NULL,
    source_id      int NOT NULL REFERENCES source,
    uri            text NOT NULL,
    run_id         uuid NOT NULL REFERENCES run,
    stage          text NOT NULL,
    error_class    text NOT NULL,
    message        text NOT NULL,
    retryable      boolean NOT NULL,
    attempts       int NOT NULL DEFAULT 1,
    first_seen     timestamptz NOT NULL DEFAULT now(),
    last_seen      timestamptz NOT NULL DEFAULT now(),
    size           bigint,
    mtime_ns       bigint,
    ctime_ns       bigint,
    inode          bigint,
    etag           text,
    content_sha256 bytea,
    parser         text NOT NULL,
    fingerprint    bytea NOT NULL,
    PRIMARY KEY (source_id, uri)
);
CREATE INDEX rejection_collection_idx ON rejection (collection_id, last_seen DESC);

-- What a parser returned, so that a move or a new chunking policy does not parse again.
CREATE TABLE parsed (
    tenant_id      int NOT NULL,
    collection_id  int NOT NULL,
    content_sha256 bytea NOT NULL,
    parser         text NOT NULL,
    parser_version text NOT NULL,
    document       bytea NOT NULL,
    PRIMARY KEY (collection_id, content_sha256, parser)
);
ALTER TABLE parsed ALTER COLUMN document SET STORAGE EXTERNAL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['collection', 'run', 'release', 'source', 'document', 'document_version',
        'activation', 'chunk', 'version_chunk', 'visible', 'staged_change', 'rejection', 'parsed']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I '
                       'USING (tenant_id = (SELECT current_tenant()))', t);
        IF t <> 'collection' THEN
            EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (tenant_id, collection_id) '
                           'REFERENCES collection (tenant_id, id)', t);
        END IF;
    END LOOP;
END $$;

-- A statement that names a partition passes by the policy of its parent, but not by this.
CREATE FUNCTION guard_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF current_tenant() IS DISTINCT FROM tg_argv[0]::int THEN
        RAISE insufficient_privilege USING MESSAGE = format('table %s is not of this tenant', tg_table_name);
    END IF;
    RETURN NULL;
END $$;

-- Vectors of one space: a table of its own, one partition per collection.
-- The policy on the parent does not guard a partition used by its own name; so nobody but the
-- owner may read a partition, writers may only insert into it (COPY needs no more), and only
-- rows of its own tenant.
CREATE FUNCTION create_vector_partition(space int, collection int) RETURNS void
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
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, '
                   'CHECK (tenant_id = %s AND collection_id = %s))',
                   part, parent, current_tenant(), collection);
    -- in the row, not in TOAST, where a page can hold it: a scan reads it three times as fast
    IF EXISTS (SELECT FROM embedding_space s WHERE s.id = space AND s.dtype = 'vector' AND s.dim <= 1900) THEN
        EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', part);
    END IF;
    -- attached, not created as a partition: searches of other collections need not wait
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, part, collection);
    EXECUTE format('CREATE TRIGGER guard_tenant BEFORE INSERT ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION guard_tenant(%s)', part, current_tenant());
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT INSERT ON %I TO revector_app', part);
    END IF;
END $$;

-- Cosine HNSW for a partition that has grown large; owner's right, so a function.
CREATE FUNCTION create_vector_index(space int, collection int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET maintenance_work_mem = '512MB' AS $$
DECLARE
    part text := format('vectors_%s_%s', space, collection);
    ops  text;
BEGIN
    -- HNSW takes at most 2,000 dimensions of this type: beyond, search stays exact
    SELECT dtype || '_cosine_ops' INTO ops FROM embedding_space
    WHERE id = space AND (dtype <> 'vector' OR dim <= 2000);
    IF ops IS NULL THEN RETURN; END IF;
    PERFORM FROM collection c WHERE c.id = collection AND c.tenant_id = current_tenant();
    IF NOT FOUND THEN RAISE EXCEPTION 'collection % is not of this tenant', collection; END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING hnsw (embedding %s)', part || '_hnsw_idx', part, ops);
END $$;

-- Statistics for the planner, after a change too large to wait for autovacuum.
CREATE FUNCTION refresh_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    ANALYZE document, document_version, activation, chunk, version_chunk, visible;
END $$;

-- Keyword candidates by gram. With row level security the GIN index cannot serve && (array
-- operators are not leakproof), so the function runs as the owner and names the tenant itself.
CREATE FUNCTION keyword_hits(collection int, query_grams int[], most int)
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
    -- BM25 (k1 = 1.2, b = 0.75) with a term frequency of one
    SELECT hit.id, sum(idf.weight * 2.2 / (1 + 1.2 * (0.25 + 0.75 * hit.length / mean.length)))
    FROM hit JOIN idf USING (gram), mean
    GROUP BY hit.id ORDER BY 2 DESC, 1 LIMIT most
$$;

-- The role the application works as. A superuser passes by every policy, so a connection made
-- with one takes this role. Who may not create roles works as the owner, whom FORCE holds.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app')
       AND (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        CREATE ROLE revector_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
        GRANT revector_app TO CURRENT_USER;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO revector_app', current_schema());
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO revector_app', current_schema());
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO revector_app', current_schema());
        EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO revector_app', current_schema());
        REVOKE ALL ON tenant, schema_migration FROM revector_app;
        REVOKE UPDATE, DELETE ON embedding_space FROM revector_app;
    END IF;
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
