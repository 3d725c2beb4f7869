#!/bin/bash
# First start of the database: a role and a database for revector, and others for Prefect. Neither can see the other's.
# revector's role is no superuser, so row level security holds it; extensions are made here because it may not.
set -euo pipefail
revector_password=$(< /run/secrets/revector_password)
prefect_password=$(< /run/secrets/prefect_password)
# passwords go in by variables of psql, quoted by it, and are in no command line
export revector_password prefect_password
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv revector_password revector_password
\getenv prefect_password prefect_password
CREATE ROLE revector_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE revector LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'revector_password';
GRANT revector_app TO revector;
CREATE ROLE prefect LOGIN NOSUPERUSER PASSWORD :'prefect_password';
CREATE DATABASE revector OWNER revector;
CREATE DATABASE prefect OWNER prefect;
REVOKE CONNECT ON DATABASE revector, prefect FROM PUBLIC;
\connect revector
CREATE EXTENSION vector SCHEMA public;
\connect prefect
CREATE EXTENSION pg_trgm;
SQL
