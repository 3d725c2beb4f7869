"""Who is interrupted while vectors are stored ends, whatever others hold, and leaves nothing half written."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

import tasks.overlapping
import tasks.vectors
from registry.blobs import BlobStore
from registry.collections import ensure_space, ensure_vector_partition
from registry.connection import connect_admin
from registry.interrupting import Interruptible
from registry.locks import lock_collection
from registry.vectors import chunk_texts, store_vectors
from tasks.vectors import embed_chunks
from tests.fake_embedder import FakeEmbedder

WAIT_S = 30


class Boom(Exception):
    pass


class Failing(FakeEmbedder):
    """Gives the vector of one document; at the next one does what it is told."""

    def __init__(self, then):
        super().__init__(dim=384)
        self._then = then
        self._given = 0

    def embed(self, texts, *, progress=None):
        if self._given:
            self._then()
        self._given += sum("on its nest" in text for text in texts)  # others are probes
        return super().embed(texts, progress=progress)


@pytest.fixture
def beside(world, monkeypatch):
    """Four chunks, a space beside the active one, and stores of one vector each."""
    monkeypatch.setattr(tasks.vectors, "STORE_CHUNKS", 1)
    for number in range(4):
        world.write(f"{number}.txt", f"Stork {number} sits on its nest.")
    world.ingest()
    db = world.session.db
    world.space_id = ensure_space(db, replace(world.embedder.space(), revision="beside"))
    ensure_vector_partition(db, world.space_id, 1)
    return world


def _embed(world, embedder):
    blobs = BlobStore(world.session.settings.home, world.session.db.tenant_id)
    ids = [1, 2, 3, 4]
    return embed_chunks(
        world.session.db, 1, world.space_id, ids, load_embedder=lambda: embedder, blobs=blobs
    ).embedded


def _stored(world):
    with world.session.db.connection() as connection:
        return connection.execute(f"SELECT count(*) FROM vectors_{world.space_id}").fetchone()[0]


@contextmanager
def _held(world):
    """The collection is held by somebody else, who is still there at the end of the block.

    The server ends that one after a while, so that waiting for it fails the test and does not hang.
    """
    with world.session.db.transaction() as connection:
        lock_collection(connection, 1)
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")
        yield
        connection.execute("SELECT 1")


def _stop():
    raise Boom


def test_an_error_of_the_model_does_not_wait_for_who_holds_the_collection(beside, monkeypatch):
    monkeypatch.setattr(tasks.overlapping, "GRACE_S", 0.1)
    with _held(beside):
        with pytest.raises(Boom):
            _embed(beside, Failing(_stop))
        assert _stored(beside) == 0
    assert _embed(beside, FakeEmbedder(dim=384)) == 4
    assert _stored(beside) == 4


def test_a_signal_does_not_wait_for_who_holds_the_collection(beside, monkeypatch):
    def store(*args, **options):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return store_vectors(*args, **options)

    monkeypatch.setattr(tasks.vectors, "store_vectors", store)
    with _held(beside):
        with pytest.raises(KeyboardInterrupt):
            _embed(beside, FakeEmbedder(dim=384))
        assert _stored(beside) == 0
    monkeypatch.undo()
    assert _embed(beside, FakeEmbedder(dim=384)) == 4


def test_what_is_read_ahead_is_not_waited_for_either(beside, monkeypatch):
    monkeypatch.setattr(tasks.vectors, "WINDOW_CHUNKS", 2)
    begun, locked, reads = threading.Event(), threading.Event(), []

    def read(*args):
        reads.append(args)
        if len(reads) == 2:
            begun.set()
            assert locked.wait(WAIT_S)
        return chunk_texts(*args)

    monkeypatch.setattr(tasks.vectors, "chunk_texts", read)
    with connect_admin(beside.session.db.url) as admin, admin.transaction():
        admin.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")

        def stop():
            assert begun.wait(WAIT_S)
            admin.execute("LOCK TABLE chunk IN ACCESS EXCLUSIVE MODE")
            locked.set()
            raise Boom

        with pytest.raises(Boom):
            _embed(beside, Failing(stop))
        admin.execute("SELECT 1")
    assert len(reads) == 2


def test_a_connection_that_was_given_back_is_not_interrupted(beside, monkeypatch):
    cancelled = []
    monkeypatch.setattr(psycopg.Connection, "cancel_safe", lambda own, **_: cancelled.append(own))
    shared = Interruptible(beside.session.db)
    with shared.connection() as connection:
        shared.interrupt()
        assert cancelled == [connection]
    with beside.session.db.connection():
        shared.interrupt()
    assert len(cancelled) == 1


def test_a_connection_that_may_be_cancelled_later_goes_to_nobody_else(beside, monkeypatch):
    def fail(*_, **__):
        raise psycopg.errors.CancellationTimeout

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", fail)
    shared = Interruptible(beside.session.db)
    with shared.connection() as connection:
        shared.interrupt()
        assert not connection.closed
    assert connection.closed
    with shared.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not connection.closed
