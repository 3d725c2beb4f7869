"""`revector up`: database, Prefect server, worker, receiver and schedules of one machine."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from flows.configuration import find_config, require_prefect_file
from flows.service.children import FINISH, Child
from flows.session import open_session
from schemas.errors import ConfigurationError, PrefectUnavailable
from schemas.settings import Settings

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
START_S = 180.0
WATCH_S = 0.5
LOCK = "up.lock"
POOLS = ("cpu", "gpu")
RECEIVER = (sys.executable, "-m", "flows.cli", "--verbose", "webhook")
"""Its log tells of each message and each flow run that it asks for."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `revector up` starts.

    Attributes:
        prefect_file: deployments.
        ui_port: of Prefect's server and UI; 0 takes a free one.
        port: of the receiver; None as configured, 0 takes a free one.
        drain_s: what runs that are at work get to end by themselves.
        config: the configuration file.
    """

    prefect_file: Path = Path("prefect.yaml")
    ui_port: int = 4200
    port: int | None = None
    drain_s: float = 60.0
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers."""

    ui: str
    api: str
    receiver: str
    logs: Path


def run_up(
    settings: Settings, options: UpOptions, *, stop: threading.Event, announce: Callable[[Addresses], None]
) -> None:
    """Start everything, keep it running until `stop` is set, end it in order.

    Raises:
        ConfigurationError: there is no file of deployments, a port is taken, or it runs already.
        PrefectUnavailable: the server does not come up.
        DatabaseUnavailable: see the class.
    """
    folder = options.prefect_file.resolve().parent
    require_prefect_file(options.prefect_file)
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.home))
        stack.enter_context(open_session(settings))  # the embedded database lives as long as this
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = _environment(settings, options)
        children: list[Child] = []
        stack.callback(_end_all, children)
        began = datetime.now(UTC)
        api = environment["PREFECT_API_URL"]
        if is_own_server := "PREFECT_API_URL" not in os.environ:
            children.append(_server(environment, folder, logs))
            children[-1].start()
        if not _await(f"{api}/health", children[:1], "The Prefect server", stop):
            return
        # from here on this process talks to the server too, and so do the programs it calls
        os.environ.update(environment)
        _prepare(options, logs, began if is_own_server else None)
        if stop.is_set():
            return
        port = _port(options, settings)
        receiver = Child("receiver", [*RECEIVER, *port], environment, folder, logs / "webhook.log")
        workers = [_worker(pool, environment, folder, logs) for pool in POOLS]
        children += [*workers, receiver]
        stack.callback(_drain, workers, receiver, options.drain_s)
        for child in (*workers, receiver):
            child.start()
        address = f"http://{settings.webhook.host}:{port[1]}"
        if not _await(f"{address}/health", [receiver], "The receiver", stop):
            return
        announce(Addresses(api.removesuffix("/api"), api, address, logs))
        while not stop.wait(WATCH_S):
            for child in children:
                child.watch()


def _prepare(options: UpOptions, logs: Path, began: datetime | None) -> None:
    """What the server has to know before a worker starts.

    Args:
        options: for the file of deployments.
        logs: where to.
        began: when a server of our own was started, None where it is another's. Runs that were taken before
            are looked at: our workers of then are gone.
    """
    from flows.service.deploying import deploy
    from flows.service.orchestrator import PrefectOrchestrator
    from flows.service.pools import forget_workers

    if missed := deploy(options.prefect_file, log_file=logs / "deploy.log"):
        log.info("%d runs that were missed are superseded by later ones", missed)
    forget_workers()
    if began and (stuck := PrefectOrchestrator().crash_stuck(datetime.now(UTC) - began)):
        log.warning("%d runs had been taken and never started; they are Crashed", len(stuck))


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise ConfigurationError(
                f"`revector up` runs already on the data directory {home}.",
                advice="Stop that one first, or set REVECTOR_HOME to another folder.",
            ) from exc
        yield


def _environment(settings: Settings, options: UpOptions) -> dict[str, str]:
    """What all children see: paths that do not depend on a folder, and nothing that phones home."""
    environment = dict(os.environ)
    environment |= {
        "REVECTOR_HOME": str(settings.home.resolve()),
        "PREFECT_HOME": environment.get("PREFECT_HOME", str(settings.home.resolve() / "prefect")),
        "PREFECT_WORKER_QUERY_SECONDS": environment.get("PREFECT_WORKER_QUERY_SECONDS", "1"),
        "PREFECT_SERVER_METRICS_ENABLED": "true",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # SQLite under several writers: wait for each other instead of failing
        "PREFECT_SERVER_DATABASE_TIMEOUT": environment.get("PREFECT_SERVER_DATABASE_TIMEOUT", "60"),
        "PYTHONUNBUFFERED": "1",
    }
    if settings.log == "json":
        environment["PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER"] = "json"
    if config := find_config(options.config, environ=os.environ, cwd=Path.cwd()):
        environment["REVECTOR_CONFIG"] = str(config.resolve())  # they run in the folder of prefect.yaml
    if "PREFECT_API_URL" not in environment:
        port = _free_port(options.ui_port, "--ui-port")
        environment["PREFECT_API_URL"] = f"http://{HOST}:{port}/api"
        environment["PREFECT_SERVER_UI_API_URL"] = environment["PREFECT_API_URL"]
    return environment


def _free_port(port: int, option: str, host: str = HOST) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise ConfigurationError(
                f"Port {port} is taken ({exc.strerror}).", advice=f"Choose another one with {option}."
            ) from exc
        return int(probe.getsockname()[1])


def _port(options: UpOptions, settings: Settings) -> list[str]:
    port = settings.webhook.port if options.port is None else options.port
    return ["--port", str(_free_port(port, "--port", settings.webhook.host))]


def _server(environment: dict[str, str], folder: Path, logs: Path) -> Child:
    port = environment["PREFECT_API_URL"].removesuffix("/api").rsplit(":", 1)[1]
    command = [
        sys.executable,
        "-m",
        "flows.service.prefect_server",
        "server",
        "start",
        "--host",
        HOST,
        "--port",
        port,
    ]
    return Child("Prefect server", command, environment, folder, logs / "prefect-server.log")


def _worker(pool: str, environment: dict[str, str], folder: Path, logs: Path) -> Child:
    command = [sys.executable, "-m", "flows.service.worker", pool]
    return Child(f"worker {pool}", command, environment, folder, logs / f"worker-{pool}.log", grace_s=30)


def _await(url: str, children: list[Child], name: str, stop: threading.Event) -> bool:
    """Wait until it answers; False where `stop` came first."""
    until = time.monotonic() + START_S
    while not stop.is_set():
        try:
            if httpx.get(url, timeout=5).is_success:
                return True
        except httpx.HTTPError:
            pass
        if time.monotonic() > until or any(child.has_ended for child in children):
            where = f" See {children[0].log_file}." if children else ""
            raise PrefectUnavailable(
                f"{name} does not come up at {url}.{where}", advice="Correct what its log says."
            )
        stop.wait(0.2)
    return False


def _drain(workers: list[Child], receiver: Child, drain_s: float) -> None:
    """Accept nothing more, start nothing more, wait for what our workers are at.

    The pools stay as they are: whoever has paused one wants that, and others may work for them too.
    """
    receiver.end()
    for worker in workers:
        worker.tell(FINISH)
    until = time.monotonic() + drain_s
    while at_work := [worker.name for worker in workers if worker.is_running]:
        if time.monotonic() > until:
            log.warning(
                "runs of %s are ended; the next ones resume what they have stored", ", ".join(at_work)
            )
            return
        time.sleep(WATCH_S)


def _end_all(children: list[Child]) -> None:
    for child in reversed(children):
        child.end()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop
