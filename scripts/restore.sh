#!/usr/bin/env bash
# Restore a backup of backup.sh into an empty database and data directory, and check it.
#   REVECTOR_HOME=/new/home scripts/restore.sh /backups/2026-11-21
# Refuses before anything is written if the backup is damaged or the place is not empty.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
PYTHONPATH=$root exec "$python" -W ignore "$root/scripts/restore.py" "$@"
