#!/usr/bin/env bash
# Back up what revector knows: database, raw files, uploads. Runs, purges and searches may go on.
#   scripts/backup.sh /backups/$(date +%F)      a new or empty folder; exit code 0 when it is whole
# Settings are those of the command line: REVECTOR_CONFIG, REVECTOR_HOME, REVECTOR_DATABASE_URL (a superuser, or a
# role with BYPASSRLS). Not in it: revector.toml, secrets, models, the Prefect server's own database.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
PYTHONPATH=$root exec "$python" -W ignore "$root/scripts/backup.py" "$@"
