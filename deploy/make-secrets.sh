#!/bin/sh
# Passwords and secrets for docker-compose.yml, random, in deploy/secrets; those that are there stay.
# Containers run as other users than you, so the files are open to read; the folder is closed to all others instead.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
for name in postgres_password revector_password prefect_password webhook_cms; do
    if [ ! -s "secrets/$name" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > "secrets/$name"
    fi
done
[ -e secrets/aws_credentials ] || : > secrets/aws_credentials    # for s3:// sources: as ~/.aws/credentials
chmod 444 secrets/*
