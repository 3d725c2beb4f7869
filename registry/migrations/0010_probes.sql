-- A version of revector may probe with other texts or images than the one before: both lie beside each other, and what
-- is made by a version is compared with what it made itself.

ALTER TABLE space_probe DROP CONSTRAINT space_probe_pkey, ADD PRIMARY KEY (space_id, probes);

-- nobody reads it
ALTER TABLE collection_space DROP COLUMN comparison;

-- 0008 did not see the collections where their owner is held by the policies: of all tenants, for a moment
ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
ALTER TABLE collection_space NO FORCE ROW LEVEL SECURITY;
INSERT INTO collection_space (tenant_id, collection_id, space_id)
SELECT c.tenant_id, c.id, s.id FROM collection c, embedding_space s
WHERE to_regclass(format('vectors_%s_%s', s.id, c.id)) IS NOT NULL
ON CONFLICT DO NOTHING;
ALTER TABLE collection FORCE ROW LEVEL SECURITY;
ALTER TABLE collection_space FORCE ROW LEVEL SECURITY;
