"""A store for each test, on one server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import s3fs
from moto.s3.models import s3_backends

from schemas.report import RunReport
from tasks.batch import plain_steps
from tests.sources.store import Store, serve
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def server() -> Iterator[Store]:
    with serve() as store:
        yield store


@pytest.fixture
def pauses(monkeypatch) -> list[int]:
    """The pauses that a lister would have made; nobody waits for them, and s3fs makes none of its own."""
    made: list[int] = []
    monkeypatch.setattr("tasks.sources.remote_errors.back_off", made.append)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    # the store is a thread of this process: an import that holds the interpreter is no broken network
    monkeypatch.setattr(s3fs.S3FileSystem, "connect_timeout", PATIENCE_S)
    monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", PATIENCE_S)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return made


@pytest.fixture
def store(server: Store, monkeypatch, pauses) -> Store:
    """The store, with the bucket `bucket` and nothing in it."""
    s3_backends.reset()
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server.heal()
    server.client.create_bucket(Bucket="bucket")
    server.requests.clear()
    return server


@pytest.fixture
def ingest(world) -> Callable[..., RunReport]:
    def run(location: str = "s3://bucket/docs", **options) -> RunReport:
        with plain_steps() as steps:
            return world_ingest(world, steps, location, **options)

    return run


def world_ingest(world, steps, location, **options) -> RunReport:
    from flows.pipeline import ingest_location

    return ingest_location(world.session, steps, location, "default", **options)
