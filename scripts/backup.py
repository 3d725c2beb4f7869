"""Back up the registry, the raw files and the uploads, while runs go on. Usage: see `backup.sh`.

What is dumped needs the raw files that were there at the dump's moment. A run writes a file before the row
that needs it; a purge drops the row before the file. So files are copied before the dump (a purge may drop
them after it) and once more after it (a run may have written some between). The list of files that the dump
needs is read in the dump's own snapshot; what is missing after that was written and dropped in between, and
a new dump is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import psycopg
from database_tools import (
    BLOB,
    BLOCK,
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

ROUNDS = 3
SCHEMA = "revector"


def main(arguments: list[str]) -> int:
    """Make a backup in a new folder; 0 when it is whole, 3 when raw files were missing from the start."""
    if len(arguments) != 1:
        say("Usage: scripts/backup.sh FOLDER   (new or empty)")
        return 2
    try:
        return _back_up(Path(arguments[0]))
    except (Stopped, RevectorError) as exc:
        say(f"No backup was made. {exc}")
    except (OSError, psycopg.Error) as exc:
        say(f"No backup was made ({type(exc).__name__}: {exc}).")
    return 1


def _back_up(target: Path) -> int:
    if not is_empty(target):
        raise Stopped(f"{target} holds something already. Name a new folder.")
    settings = read_settings()
    if not (settings.home / "blobs").is_dir():
        raise Stopped(f"{settings.home} holds no raw files: is REVECTOR_HOME right?")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    copied: dict[str, str] = {}
    with open_tools(settings) as tools:
        missing = _copy_consistently(tools, settings.home / "blobs", target, copied)
    copied |= _copy_files(inbox_of(settings), target, "inbox")
    copied[DUMP] = hash_file(target / DUMP)
    _write_summary(target, copied, missing)
    say(f"{target}: {len(copied)} files, dump of {(target / DUMP).stat().st_size:,} bytes")
    if missing:
        say(f"{len(missing)} raw files that versions need are missing: `revector check` names them.")
    return 3 if missing else 0


def _copy_consistently(tools: Tools, blobs: Path, target: Path, copied: dict[str, str]) -> list[str]:
    """Dump, and copy what it needs; returns what could not be had, which was lost before."""
    missing: list[str] = []
    for _ in range(ROUNDS):
        _copy_blobs(blobs, target, copied)
        needed = _dump(tools, target)
        _copy_blobs(blobs, target, copied)
        missing = sorted(needed - copied.keys())
        if not missing:
            break
    return missing


def _dump(tools: Tools, target: Path) -> set[str]:
    """Dump the schema; returns the raw files that versions need, as of the same moment."""
    with psycopg.connect(tools.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        tools.run(
            "pg_dump",
            "--format=custom",
            f"--schema={SCHEMA}",
            "--extension=vector",
            f"--snapshot={row[0]}",
            f"--file={target / DUMP}",
            "--dbname=service=revector",
        )
        rows = connection.execute(
            f"SELECT DISTINCT tenant_id, encode(content_sha256, 'hex') FROM {SCHEMA}.document_version"
        )
        return {f"blobs/{tenant}/{digest[:2]}/{digest}" for tenant, digest in rows}


def _copy_blobs(blobs: Path, target: Path, copied: dict[str, str]) -> None:
    """Copy what is not there yet; a file that is not what it is named by is left out, and told."""
    for path in sorted(blobs.glob("*/??/*")):
        name = f"blobs/{path.relative_to(blobs).as_posix()}"
        if name in copied or not BLOB.fullmatch(path.name):
            continue
        try:
            digest = _copy(path, target / name)
        except FileNotFoundError:  # a purge was faster; whether it is needed is asked later
            continue
        if digest == path.name:
            copied[name] = digest
        else:
            (target / name).unlink()
            say(f"{path} is damaged: its bytes are not those it is named by.")


def _copy_files(folder: Path, target: Path, name: str) -> dict[str, str]:
    copied = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            relative = f"{name}/{path.relative_to(folder).as_posix()}"
            try:
                copied[relative] = _copy(path, target / relative)
            except FileNotFoundError:
                continue
    return copied


def _copy(path: Path, target: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as source:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while block := source.read(BLOCK):
                hasher.update(block)
                out.write(block)
    shutil.copystat(path, target)
    return hasher.hexdigest()


def _write_summary(target: Path, copied: dict[str, str], missing: list[str]) -> None:
    """The manifest comes last, on a disk that has all else: a backup without one is none."""
    summary = {"files": len(copied) + 1, "missing": missing, "made_at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    (target / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    listed = {**copied, SUMMARY: hash_file(target / SUMMARY)}
    lines = [f"{digest}  {_escape(name)}\n" for name, digest in sorted(listed.items())]
    os.sync()
    part = target / f".{MANIFEST}.part"
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(target / MANIFEST)
    os.sync()


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
