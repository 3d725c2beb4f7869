-- Near-duplicates: signatures of texts, and who was elected in which release.

-- What an active document is besides active: a duplicate of another one (winner), kept out of search or not.
-- A change of the election ends an interval as a change of the version does, so each release has its own.
ALTER TABLE activation
    ADD COLUMN winner_id  bigint REFERENCES document ON DELETE SET NULL,
    ADD COLUMN rule       text,
    ADD COLUMN similarity real,
    ADD COLUMN suppressed boolean NOT NULL DEFAULT false;
CREATE INDEX activation_winner_idx ON activation (winner_id) WHERE winner_id IS NOT NULL;

-- The same for what a run prepares; reelected: its version is shown already, the election is another one.
ALTER TABLE staged_change
    ADD COLUMN winner_id  bigint REFERENCES document ON DELETE SET NULL,
    ADD COLUMN rule       text,
    ADD COLUMN similarity real,
    ADD COLUMN suppressed boolean NOT NULL DEFAULT false,
    ADD COLUMN reelected  boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT staged_change_action_check,
    ADD CONSTRAINT staged_change_action_check
        CHECK (action IN ('added', 'changed', 'moved', 'deleted', 'restat', 'elected'));
CREATE INDEX staged_change_winner_idx ON staged_change (winner_id) WHERE winner_id IS NOT NULL;

-- The settings an election was held by, hashed: other ones mean that all documents are compared anew.
ALTER TABLE collection ADD COLUMN election bytea NOT NULL DEFAULT '';
ALTER TABLE release ADD COLUMN election bytea NOT NULL DEFAULT '';
-- The release on which the election of a run's staged changes rests, and the settings it was held by.
ALTER TABLE run ADD COLUMN elected_release int, ADD COLUMN elected_by bytea;

-- Replaced by activation.winner_id: the same version may win in one release and lose in the next.
ALTER TABLE document_version DROP COLUMN duplicate_of;
CREATE INDEX document_version_text_idx ON document_version (collection_id, text_sha256);

-- A function of the text: versions with the same text share it.
CREATE TABLE signature (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    text_sha256   bytea NOT NULL,
    params        int NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('text', 'image')),
    characters    int NOT NULL,
    minhash       bytea NOT NULL,
    shingles      bytea NOT NULL,
    words         bytea NOT NULL,
    numbers       bytea NOT NULL,
    bands         bigint[] NOT NULL,
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id),
    CONSTRAINT signature_text_key UNIQUE (collection_id, text_sha256, params)
);
-- Hashes do not compress.
ALTER TABLE signature ALTER COLUMN minhash SET STORAGE EXTERNAL, ALTER COLUMN shingles SET STORAGE EXTERNAL,
    ALTER COLUMN words SET STORAGE EXTERNAL, ALTER COLUMN numbers SET STORAGE EXTERNAL;

-- Where to look for texts like another: they share a band. signature.bands repeats these, for deleting.
CREATE TABLE signature_band (
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    band          bigint NOT NULL,
    signature_id  bigint NOT NULL,
    PRIMARY KEY (collection_id, band, signature_id),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);

-- As in 0002; on tables without statistics the planner would count all again for each hit: seconds instead of 130 ms.
CREATE OR REPLACE FUNCTION keyword_hits(collection int, query_grams int[], most int)
RETURNS TABLE (chunk_id bigint, score float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH hit AS MATERIALIZED (
        SELECT c.id, q.gram, cardinality(c.grams) AS length
        FROM unnest(query_grams) AS q(gram)
        JOIN chunk c ON c.grams @> ARRAY[q.gram]
        JOIN visible v ON v.collection_id = c.collection_id AND v.chunk_id = c.id
        WHERE c.collection_id = collection AND c.tenant_id = current_tenant()
    ), total AS MATERIALIZED (
        SELECT greatest(count(*), 1)::float8 AS n FROM visible v
        WHERE v.collection_id = collection AND v.tenant_id = current_tenant()
    ), idf AS MATERIALIZED (
        SELECT hit.gram, ln(1 + (total.n - count(*) + 0.5) / (count(*) + 0.5)) AS weight
        FROM hit, total GROUP BY hit.gram, total.n
    ), mean AS MATERIALIZED (
        SELECT greatest(avg(length), 1)::float8 AS length FROM hit
    )
    SELECT hit.id, sum((idf.weight * 2.2e9 / (1 + 1.2 * (0.25 + 0.75 * hit.length / mean.length)))::bigint)::float8 / 1e9
    FROM hit JOIN idf USING (gram), mean
    GROUP BY hit.id ORDER BY 2 DESC, 1 LIMIT most
$$;

-- As in 0002, without what was suppressed.
CREATE OR REPLACE FUNCTION keyword_hits_as_of(collection int, release_number int, query_grams int[], most int)
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
              AND (a.to_release IS NULL OR a.to_release > release_number) AND NOT a.suppressed)
    ), total AS MATERIALIZED (
        SELECT greatest(max(r.chunks), 1)::float8 AS n FROM release r
        WHERE r.collection_id = collection AND r.number = release_number AND r.tenant_id = current_tenant()
    ), idf AS MATERIALIZED (
        SELECT hit.gram, ln(1 + (total.n - count(*) + 0.5) / (count(*) + 0.5)) AS weight
        FROM hit, total GROUP BY hit.gram, total.n
    ), mean AS MATERIALIZED (
        SELECT greatest(avg(length), 1)::float8 AS length FROM hit
    )
    SELECT hit.id, sum((idf.weight * 2.2e9 / (1 + 1.2 * (0.25 + 0.75 * hit.length / mean.length)))::bigint)::float8 / 1e9
    FROM hit JOIN idf USING (gram), mean
    GROUP BY hit.id ORDER BY 2 DESC, 1 LIMIT most
$$;

-- As in 0002, without what is suppressed. The reader's own rights and tenant count.
CREATE OR REPLACE VIEW current_places WITH (security_invoker = true) AS
SELECT k.name AS collection, a.collection_id, k.current_release AS release, s.name AS source, d.uri, v.version,
       vc.ordinal, vc.chunk_id, vc.char_start, vc.char_end, vc.page, vc.heading, v.mime, v.title, v.author,
       v.authored_at, v.language, v.tags, v.metadata, v.tenant_id
FROM activation a
JOIN document_version v ON v.id = a.version_id
JOIN document d ON d.id = a.document_id
JOIN source s ON s.id = d.source_id
JOIN collection k ON k.id = a.collection_id
JOIN version_chunk vc ON vc.version_id = v.id
WHERE a.to_release IS NULL AND NOT a.suppressed;

-- The duplicates that the current release has, and the documents that stand for them.
CREATE VIEW current_duplicates WITH (security_invoker = true) AS
SELECT k.name AS collection, a.collection_id, k.current_release AS release, s.name AS source, d.uri,
       ws.name AS winner_source, w.uri AS winner, a.rule, a.similarity, a.suppressed, a.tenant_id
FROM activation a
JOIN document d ON d.id = a.document_id
JOIN source s ON s.id = d.source_id
JOIN document w ON w.id = a.winner_id
JOIN source ws ON ws.id = w.source_id
JOIN collection k ON k.id = a.collection_id
WHERE a.to_release IS NULL;

-- As in 0002, and without an autovacuum on the partition.
DROP FUNCTION begin_vector_rebuild(int, int);
CREATE FUNCTION begin_vector_rebuild(space int, collection int, lock_ms int) RETURNS void
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
    PERFORM build_vector_partition(space, collection, fresh);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        EXECUTE format('GRANT INSERT ON %I TO revector_app', fresh);
    END IF;
END $$;

-- As in 0001, with the tables of this file.
CREATE OR REPLACE FUNCTION refresh_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    ANALYZE document, document_version, activation, chunk, version_chunk, visible, signature, signature_band;
END $$;

DO $$
DECLARE
    t text;
    f regprocedure;
BEGIN
    FOREACH t IN ARRAY ARRAY['signature', 'signature_band']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I USING (tenant_id = (SELECT current_tenant()))', t);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON signature, signature_band TO revector_app;
        GRANT SELECT ON current_duplicates TO revector_app;
        GRANT EXECUTE ON FUNCTION begin_vector_rebuild TO revector_app;
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO revector_app', current_schema());
    END IF;
    REVOKE ALL ON FUNCTION begin_vector_rebuild FROM PUBLIC;
    -- as in 0002: pg_temp comes last
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, public, pg_temp', f, current_schema());
    END LOOP;
END $$;
