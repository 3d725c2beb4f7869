#!/bin/sh
# Makes the database URL of a container from a file with the password: neither Prefect nor revector reads one from a
# file, and an environment in docker-compose.yml can be seen with `docker inspect`. Then becomes the command, which
# so gets the signals itself.
#   DATABASE_FOR             revector or prefect; nothing is made where it is not set
#   DATABASE_USER, DATABASE_NAME, DATABASE_HOST, DATABASE_PASSWORD_FILE
set -eu

if [ -n "${DATABASE_FOR:-}" ]; then
    if [ ! -r "${DATABASE_PASSWORD_FILE:?}" ]; then
        echo "$DATABASE_PASSWORD_FILE cannot be read by user $(id -u). See deploy/make-secrets.sh." >&2
        exit 1
    fi
    password=$(python -c 'import sys, urllib.parse as u; print(u.quote(open(sys.argv[1]).read().strip(), safe=""))' \
        "$DATABASE_PASSWORD_FILE")
    place="${DATABASE_USER:?}:${password}@${DATABASE_HOST:?}:5432/${DATABASE_NAME:?}"
    unset password
    case "$DATABASE_FOR" in
        revector) export REVECTOR_DATABASE_URL="postgresql://$place" ;;
        prefect) export PREFECT_SERVER_DATABASE_CONNECTION_URL="postgresql+asyncpg://$place" ;;
        *) echo "DATABASE_FOR is revector or prefect, not $DATABASE_FOR." >&2; exit 1 ;;
    esac
    unset place
fi
exec "$@"
