-- A version of revector may probe with other texts or images than the one before: both lie beside each other, and what
-- is made by a version is compared with what it made itself.

ALTER TABLE space_probe DROP CONSTRAINT space_probe_pkey, ADD PRIMARY KEY (space_id, probes);
