-- Filters of a search.

-- Text for comparing whatever its case: by Unicode where the server can, whatever the database's own locale.
DO $$
DECLARE
    fold text := 'lower(value)';
BEGIN
    IF EXISTS (SELECT FROM pg_collation WHERE collname = 'pg_c_utf8') THEN
        fold := 'lower(value COLLATE pg_catalog.pg_c_utf8)';
    ELSIF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu' AND collprovider = 'i') THEN
        fold := 'lower(value COLLATE pg_catalog."und-x-icu")';
    END IF;
    EXECUTE format('CREATE FUNCTION fold_case(value text) RETURNS text '
                   'LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN %s', fold);
    REVOKE ALL ON FUNCTION fold_case FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app') THEN
        GRANT EXECUTE ON FUNCTION fold_case TO revector_app;
    END IF;
END $$;
