"""Restore a backup into an empty database and data directory, and check it. Usage: see `restore.sh`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from database_tools import (
    BLOB,
    DUMP,
    MANIFEST,
    SUMMARY,
    Stopped,
    Tools,
    hash_file,
    inbox_of,
    is_empty,
    open_tools,
    read_settings,
    say,
)

from schemas.errors import RevectorError
from schemas.settings import Settings

SCHEMA = "revector"
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revector_app')
       AND (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        CREATE ROLE revector_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
        GRANT revector_app TO CURRENT_USER;
    END IF;
END $$
"""
"""As in migration 0001: roles are not in a dump, and grants to one that is not there fail."""


def main(arguments: list[str]) -> int:
    """Restore; 0 when the check after it finds nothing wrong."""
    if len(arguments) != 1:
        say("Usage: scripts/restore.sh FOLDER   (of a backup)")
        return 2
    try:
        return _restore(Path(arguments[0]))
    except (Stopped, RevectorError) as exc:
        say(f"Not restored. {exc}")
    except (OSError, psycopg.Error) as exc:
        say(f"Not restored ({type(exc).__name__}: {exc}).")
    return 1


def _restore(backup: Path) -> int:
    files = verify(backup)
    settings = read_settings()
    _require_room(settings)
    with open_tools(settings) as tools:
        _require_empty(tools)
        for name in files:
            if name.startswith("blobs/"):
                _copy(backup / name, settings.home / name)
            elif name.startswith("inbox/"):
                _copy(backup / name, inbox_of(settings) / name.removeprefix("inbox/"))
        os.sync()  # files first: no row may need what a power cut could take
        try:
            _load(tools, backup / DUMP)
        except Stopped:  # the place was empty before, and is so again: it can be tried once more
            shutil.rmtree(settings.home / "blobs", ignore_errors=True)
            shutil.rmtree(inbox_of(settings), ignore_errors=True)
            raise
        say(f"Restored {len(files)} files. Now the check.")
        return _check_all(tools)


def verify(backup: Path) -> list[str]:
    """The files of a backup, each compared with the manifest.

    Raises:
        Stopped: it is not whole, or not what was backed up.
    """
    if not (backup / MANIFEST).is_file():
        raise Stopped(f"{backup} has no {MANIFEST}: the backup was not finished, or this is none.")
    listed: dict[str, str] = {}
    for line in (backup / MANIFEST).read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        name = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], name)
        if not separator or not BLOB.fullmatch(digest) or ".." in name.split("/") or name.startswith("/"):
            raise Stopped(f"{MANIFEST} is damaged.")
        listed[name] = digest
    wrong = [name for name, digest in listed.items() if not _is_whole(backup / name, digest)]
    if wrong:
        raise Stopped(
            f"{len(wrong)} files are damaged or missing, {wrong[0]!r} among them. Take another backup."
        )
    if not {SUMMARY, DUMP} <= listed.keys():
        raise Stopped(f"{MANIFEST} is damaged.")
    if json.loads((backup / SUMMARY).read_text(encoding="utf-8"))["files"] != len(listed):
        raise Stopped(f"{MANIFEST} is cut short.")
    return sorted(listed.keys() - {SUMMARY, DUMP})


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and hash_file(path) == digest


def _require_room(settings: Settings) -> None:
    """Nothing is written over, and nothing is mixed with what is there."""
    folders = [settings.home / "blobs", settings.home / "postgres", inbox_of(settings)]
    if taken := [str(folder) for folder in folders if not is_empty(folder)]:
        raise Stopped(f"{taken[0]} holds something already. Set REVECTOR_HOME to a new folder.")


def _require_empty(tools: Tools) -> None:
    with psycopg.connect(tools.url) as connection:
        row = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchone()
    if row is not None:
        raise Stopped(f"The database has a schema {SCHEMA!r} already. Name an empty database.")


def _load(tools: Tools, dump: Path) -> None:
    """In one transaction: all of it is there, or nothing."""
    with psycopg.connect(tools.url, autocommit=True) as connection:
        connection.execute(ROLE)
        has_role = connection.execute("SELECT FROM pg_roles WHERE rolname = 'revector_app'").fetchone()
    grants = [] if has_role is not None else ["--no-acl"]
    tools.run(
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-comments",
        *grants,
        "--dbname=service=revector",
        str(dump),
    )
    with psycopg.connect(tools.url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _check_all(tools: Tools) -> int:
    """`revector check` of every collection of every tenant, as that tenant: row level security wants it."""
    with psycopg.connect(tools.url) as connection:
        tenants = [name for (name,) in connection.execute(f"SELECT name FROM {SCHEMA}.tenant ORDER BY 1")]
    checked, failed = 0, 0
    for tenant in tenants:
        listed = _revector(tenant, "collections", "--json", capture_output=True)
        if listed.returncode:
            raise Stopped(f"`revector collections` failed after the restore: {listed.stdout}{listed.stderr}")
        for collection in json.loads(listed.stdout)["collections"]:
            say(f"\n{tenant} / {collection['name']}")
            checked += 1
            failed += _revector(tenant, "check", "--collection", collection["name"]).returncode != 0
    say(f"\n{checked} collections checked, {failed} with problems.")
    return 1 if failed else 0


def _revector(tenant: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "flows.cli", *arguments]
    environment = {**os.environ, "REVECTOR_TENANT": tenant}
    return subprocess.run(command, env=environment, text=True, check=False, **options)


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
