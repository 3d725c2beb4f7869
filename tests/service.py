"""`revector up` as a process of its own, and a sender that signs."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from flows.receiver.signing import sign
from flows.session import Session, open_session
from schemas.settings import Settings
from tests.fake_models import FakeModels
from tests.ports import free_port
from tests.waiting import PATIENCE_S, Found, until

ROOT = Path(__file__).parents[1]
OURS = ("PREFECT_", "REVECTOR_")
SECRET = "a secret that only tests use, long enough"
CONFIG = """
[webhook]
debounce_s = {debounce}
max_wait_s = 10
requests_per_minute = 1000000
burst = 100000

[webhook.senders.cms]
secrets = "secret.txt"
"""


class Service:
    """Everything of one machine under a folder: `docs`, `home`, `revector.toml`, `prefect.yaml`.

    Args:
        folder: must be open to the user of the database server.
        prefect_yaml: deployments; those of the project if left out.
        fake_models: so that a run starts within seconds.
        debounce_s: what a burst is waited for.
        more: lines of the configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        prefect_yaml: str | None = None,
        fake_models: bool = True,
        debounce_s: float = 0.5,
        more: str = "",
    ) -> None:
        self.folder = folder
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.home = folder / "home"
        (folder / "secret.txt").write_text(SECRET + "\n")
        (folder / "revector.toml").write_text(CONFIG.format(debounce=debounce_s) + more)
        text = prefect_yaml or (ROOT / "prefect.yaml").read_text(encoding="utf-8")
        (folder / "prefect.yaml").write_text(text)
        (folder / "samples").symlink_to(ROOT / "samples")
        self.ui_port, self.port = free_port(), free_port()
        self.api = f"http://127.0.0.1:{self.ui_port}/api"
        self.receiver = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PREFECT_", "REVECTOR_"))
            },
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/processes"), str(ROOT)]),
            "REVECTOR_HOME": str(self.home),
            "REVECTOR_CONFIG": str(folder / "revector.toml"),
        }
        if fake_models:
            self.environment["TESTS_FAKE_MODELS"] = "1"

    def start(self, *options: str) -> None:
        """Start it and wait until it says that it is ready."""
        command = [sys.executable, "-m", "flows.cli", "up", *options]
        ports = ["--ui-port", str(self.ui_port), "--port", str(self.port)]
        with (self.folder / "up.log").open("a") as output:
            self.process = subprocess.Popen(
                [*command, *ports], cwd=self.folder, env=self.environment, stdout=output, stderr=output,
                text=True, start_new_session=True,
            )  # fmt: skip
        self.wait(lambda: "Ready." in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()
        self.wait(lambda: self.get("/ready").status_code == 200)

    def stop(self) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def kill(self) -> None:
        """Whatever is left of it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for process in self.all_processes():
            with _gone():
                process.kill()

    def all_processes(self) -> list[psutil.Process]:
        """All that run with this home, wherever in the tree, but the database."""
        found = []
        for process in psutil.process_iter():
            with _gone():
                if (
                    process.environ().get("REVECTOR_HOME") == str(self.home)
                    and "postgres" not in process.name()
                ):
                    found.append(process)
        return found

    def databases(self) -> list[psutil.Process]:
        """The embedded PostgreSQL of this home, while it runs."""
        found = []
        for process in psutil.process_iter():
            with _gone():
                if "postgres" in process.name() and str(self.home) in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def find(self, pattern: str) -> list[psutil.Process]:
        """Its processes whose command line has the pattern."""
        found = []
        for process in self.all_processes():
            with _gone():
                if re.search(pattern, " ".join(process.cmdline())):
                    found.append(process)
        return found

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "up.log").read_text()

    def logs(self) -> str:
        """The ends of all logs, for a test that failed."""
        files = [self.folder / "up.log", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in files)

    def wait(self, condition: Callable[[], Found], *, every_s: float = 0.2) -> Found:
        """The condition's value once it is true; what was killed does not answer for a while."""
        return until(condition, self.logs, every_s=every_s, meanwhile=(httpx.HTTPError,))

    def post(self, path: str, body: Any, *, id: str | None = None) -> httpx.Response:
        """A signed message of JSON."""
        data = json.dumps(body).encode()
        return self._send("POST", path, data, id=id, target="", headers={"content-type": "application/json"})

    def send(self, method: str, path: str, body: bytes) -> httpx.Response:
        """An upload or deletion, whose path is signed too."""
        return self._send(method, path, body, target=f"{method} {path}", headers={})

    def get(self, path: str) -> httpx.Response:
        """A signed question, or one that needs no signature."""
        return self._send("GET", path, b"", target=f"GET {path}", headers={})

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        target: str,
        headers: dict[str, str],
        id: str | None = None,
    ) -> httpx.Response:
        id, stamp = id or secrets.token_hex(12), int(time.time())
        signed = {
            "webhook-id": id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(SECRET, id, stamp, body, target=target),
        }
        return httpx.request(method, self.receiver + path, content=body, headers=headers | signed, timeout=60)

    def flow_runs(self, **query: Any) -> list[dict[str, Any]]:
        """What Prefect has run, or will."""
        answer = httpx.post(f"{self.api}/flow_runs/filter", json={"limit": 200, **query}, timeout=60)
        answer.raise_for_status()
        return list(answer.json())

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The registry that it writes to."""
        settings = Settings(home=self.home)
        with open_session(settings, load_embedder=FakeModels().load) as session:
            yield session


@contextmanager
def open_service(**options: Any) -> Iterator[Service]:
    """A service in a folder of its own, not started; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="revector-up-"))
    folder.chmod(0o755)
    service = Service(folder, **options)
    try:
        yield service
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return
