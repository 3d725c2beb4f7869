-- Events: what others say has changed in a source, kept until a run has looked there.

-- One message of a sender. Its id is the sender's own: a message that comes twice is one.
CREATE TABLE delivery (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    sender        text NOT NULL,
    delivery      text NOT NULL,
    body_sha256   bytea NOT NULL CHECK (length(body_sha256) = 32),
    received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id),
    CONSTRAINT delivery_key UNIQUE (tenant_id, sender, delivery)
);
CREATE INDEX delivery_received_idx ON delivery (tenant_id, received_at);

-- What a delivery names. run_id: the run that works, or last worked, on it; while that run lives, nobody else does.
-- attempts: runs that failed with it; crashes: runs that died with it. due_at: not before, after a try that failed.
CREATE TABLE event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     int NOT NULL,
    collection_id int NOT NULL,
    delivery_id   bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    source_id     int NOT NULL REFERENCES source,
    uri           text NOT NULL,
    action        text NOT NULL CHECK (action IN ('changed', 'deleted', 'prefix')),
    received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    state         text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'applied', 'failed')),
    run_id        uuid REFERENCES run,
    attempts      int NOT NULL DEFAULT 0,
    crashes       int NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at    timestamptz,
    outcome       text,
    error         text,
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);
CREATE INDEX event_pending_idx ON event (collection_id, id) WHERE state = 'pending';
CREATE INDEX event_delivery_idx ON event (delivery_id);
CREATE INDEX event_run_idx ON event (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX event_uri_idx ON event (source_id, uri);

-- The last flow run that was asked for on behalf of a collection's events. Its idempotency key is written down
-- before it is asked for, so a dispatcher that dies in between asks for the same one again.
-- failures: how many in a row did not complete. trouble: why events wait, NULL where they do not.
CREATE TABLE dispatch (
    collection_id int PRIMARY KEY,
    tenant_id     int NOT NULL,
    key           uuid NOT NULL DEFAULT gen_random_uuid(),
    flow_run_id   uuid,
    asked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures      int NOT NULL DEFAULT 0,
    trouble       text,
    FOREIGN KEY (tenant_id, collection_id) REFERENCES collection (tenant_id, id)
);

-- What lies under a folder, by a range of an index whatever the database's collation.
CREATE INDEX document_path_idx ON document (source_id, uri COLLATE "C");

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['delivery', 'event', 'dispatch']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I USING (tenant_id = (SELECT current_tenant()))', t);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON delivery, event, dispatch TO revector_app;
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO revector_app', current_schema());
    END IF;
END $$;
