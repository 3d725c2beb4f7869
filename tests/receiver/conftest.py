"""A receiver with two senders, a collection with a folder, and a client that signs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from flows.receiver.app import create_app
from flows.receiver.signing import sign
from registry.collections import ensure_collection, ensure_source
from registry.connection import Database, connect_admin
from registry.opening import open_registry
from schemas.settings import Settings
from schemas.source import Source
from tasks.sources.scratch import LOCK

NOW = 1_800_000_000
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_SECRET = "another secret of the other team"
BEARER = "token-of-the-object-store-0123456789"

_ids = itertools.count(1)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Caller:
    """Sends requests to an app in this process, signed as told."""

    db: Database
    settings: Settings
    clock: Clock
    woken: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    client: TestClient = None  # type: ignore[assignment]

    def start(self) -> None:
        app = create_app(
            self.settings,
            self.db,
            clock=self.clock,
            on_accept=lambda: self.woken.append(1),
            is_ready=lambda: self.problems,
        )
        self.client = TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 50000))

    def from_address(self, host: str) -> TestClient:
        """A client of the same app, somewhere else."""
        return TestClient(self.client.app, raise_server_exceptions=False, client=(host, 50000))

    def headers(
        self, body: bytes, *, id: str = "", secret: str = SECRET, target: str = "", at: float | None = None
    ) -> dict[str, str]:
        id = id or f"msg-{next(_ids)}"
        stamp = int(self.clock() if at is None else at)
        signature = sign(secret, id, stamp, body, target=target)
        return {"webhook-id": id, "webhook-timestamp": str(stamp), "webhook-signature": signature}

    def post(
        self,
        value: Any,
        collection: str = "default",
        *,
        content_type: str = "application/json",
        extra: dict[str, str] | None = None,
        **options: Any,
    ):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {**self.headers(body, **options), "content-type": content_type, **(extra or {})}
        return self.client.post(f"/v1/events/{quote(collection)}", content=body, headers=headers)

    def bearer(
        self, value: Any, collection: str = "default", *, token: str = f"Bearer {BEARER}", **extra: str
    ):
        headers = {"authorization": token, "content-type": "application/json", **extra}
        return self.client.post(
            f"/v1/events/{collection}", content=json.dumps(value).encode(), headers=headers
        )

    def get(self, target: str, **options: Any):
        return self.client.get(target, headers=self.headers(b"", target=f"GET {target}", **options))

    def upload(
        self,
        path: str,
        body: bytes,
        collection: str = "default",
        extra: dict[str, str] | None = None,
        **options: Any,
    ):
        target = f"/v1/documents/{collection}?path={quote(path, safe='/')}"
        headers = self.headers(body, target=f"POST {target}", **options)
        return self.client.post(target, content=body, headers={**headers, **(extra or {})})

    def delete(self, path: str, collection: str = "default", **options: Any):
        target = f"/v1/documents/{collection}?path={quote(path, safe='/')}"
        return self.client.delete(target, headers=self.headers(b"", target=f"DELETE {target}", **options))

    def rows(self) -> list[tuple[Any, ...]]:
        """(source, uri, action) of all events, in order of arrival."""
        with self.db.connection() as connection:
            return connection.execute(
                "SELECT s.name, e.uri, e.action FROM event e JOIN source s ON s.id = e.source_id "
                "ORDER BY e.id"
            ).fetchall()

    def deliveries(self) -> int:
        """How many messages are stored."""
        with self.db.connection() as connection:
            return connection.execute("SELECT count(*) FROM delivery").fetchone()[0]

    def files(self) -> dict[str, bytes]:
        """All files under the inbox, half-written ones too; not the lock of their folder."""
        root = self.settings.home / "inbox"
        found = (path for path in root.rglob("*") if path.is_file() and path.name != LOCK)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}

    def assert_untouched(self) -> None:
        """Nothing was stored, and nobody was woken."""
        assert self.rows() == []
        assert self.deliveries() == 0
        assert self.files() == {}
        assert self.woken == []


@pytest.fixture(scope="module")
def module_db(
    new_database: Callable[[], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    with (
        new_database() as url,
        open_registry(tmp_path_factory.mktemp("home"), url=url, tenant="default") as made,
    ):
        yield made


@pytest.fixture
def db(module_db: Database) -> Iterator[Database]:
    """The registry of the tenant `default`, empty; one for all tests of a module, of which there are many."""
    yield module_db
    with connect_admin(module_db.url) as admin:
        admin.execute("TRUNCATE collection, run CASCADE")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Path]:
    """Sender -> its file of secrets."""
    found = {}
    for name, secret in (("hr", SECRET), ("legal", OTHER_SECRET), ("store", BEARER)):
        found[name] = tmp_path / f"{name}.secrets"
        found[name].write_text(f"# of {name}\n\n{secret}\n")
    return found


@pytest.fixture
def configure(db: Database, tmp_path: Path, clock: Clock, secrets: dict[str, Path]):
    """Makes a receiver; keyword arguments are settings of `webhook`."""

    def make(collections: dict[str, Any] | None = None, **webhook: Any) -> Caller:
        senders = {
            "hr": {"secrets": secrets["hr"]},
            "legal": {"secrets": secrets["legal"], "collections": ["legal*"]},
            "store": {"secrets": secrets["store"], "auth": "bearer"},
        }
        settings = Settings.model_validate(
            {
                "home": tmp_path / "home",
                "webhook": {"senders": senders, **webhook},
                "collections": collections or {},
            }
        )
        caller = Caller(db, settings, clock)
        caller.start()
        return caller

    return make


@pytest.fixture
def receiver(configure, db: Database) -> Iterator[Caller]:
    """A receiver; collection `default` has the sources `docs` and, inside it, none."""
    collection = ensure_collection(db, "default")
    ensure_source(db, collection.id, Source("docs", "/srv/docs"))
    return configure()
