"""When an index is built, with what, how well it finds, and what an interrupted build left."""

from __future__ import annotations

import logging

import numpy as np
import psycopg
import pytest

import registry.index_sizing
import registry.vector_index
from flows.inspecting import collection_status
from flows.purging import purge_collection
from registry.collections import ensure_collection, get_space
from registry.connection import connect_admin
from registry.index_sizing import choose_resources, free_shared_kb, graph_bytes, is_local, machine_memory_kb
from registry.locks import lock_collection
from registry.opening import open_registry
from registry.purge import drop_unused_chunks, list_spaces
from registry.search import search_collection
from registry.space import rebuild_partition, vacuum
from registry.vector_index import drop_broken, ensure_index, index_state, is_worn, measure_index
from schemas.embedding import EmbeddingSpace
from schemas.errors import DatabaseError
from tests.releases import fill_releases

DIM = 16


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(registry.vector_index, "INDEX_FROM_ROWS", 500)


def _vectors(count, seed=1):
    vectors = np.random.default_rng(seed).standard_normal((count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def filled(db):
    """600 vectors without an index: (db, collection, space, partition)."""
    collection, space_id = fill_releases(db, "many", [_vectors(600)], indexed=False)
    return db, collection, space_id, f"vectors_{space_id}_{collection.id}"


def _indexes(db, partition):
    with connect_admin(db.url) as admin:
        rows = admin.execute(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = %s::regclass",
            [partition],
        ).fetchall()
    return {name: valid for name, valid in rows if not name.endswith("_pkey")}


def _options(db, partition):
    with connect_admin(db.url) as admin:
        query = "SELECT reloptions FROM pg_class WHERE relname = %s"
        return admin.execute(query, [f"{partition}_hnsw_idx"]).fetchone()[0]


def test_an_index_is_built_once_after_a_load_and_what_is_known_of_it_is_kept(filled):
    db, collection, space_id, partition = filled
    assert index_state(db, space_id, collection.id) is None
    report = ensure_index(db, space_id, collection.id)
    assert (report.name, report.rows) == (partition, 600)
    assert report.recall >= 0.95
    state = index_state(db, space_id, collection.id)
    assert (state.rows, state.recall, state.deleted) == (600, report.recall, 0)
    assert state.seconds == report.seconds > 0
    assert ensure_index(db, space_id, collection.id) is None
    assert index_state(db, space_id, collection.id) == state


def test_a_small_partition_gets_no_index(db):
    collection, space_id = fill_releases(db, "few", [_vectors(400)], indexed=False)
    assert ensure_index(db, space_id, collection.id) is None
    assert index_state(db, space_id, collection.id) is None


def test_the_index_has_the_parameters_of_its_space_also_after_a_rebuild(db, monkeypatch):
    space = EmbeddingSpace("text", "fake", "plain", "1", DIM, m=5, ef_construction=33)
    monkeypatch.setattr("tests.releases.EmbeddingSpace", lambda *args: space)
    collection, space_id = fill_releases(db, "many", [_vectors(600)])
    partition = f"vectors_{space_id}_{collection.id}"
    assert sorted(_options(db, partition)) == ["ef_construction=33", "m=5"]
    assert rebuild_partition(db, collection.id, list_spaces(db, collection.id)[0])
    assert sorted(_options(db, partition)) == ["ef_construction=33", "m=5"]


def test_the_index_of_another_tenant_cannot_be_touched(filled, database_url, tmp_path):
    _, collection, space_id, _ = filled
    with open_registry(tmp_path / "two", url=database_url, tenant="two") as two:
        for call in ("create_vector_index({}, {}, 65536, 0)", "drop_broken_indexes({}, {}, 100)",
                     "drop_vector_partition({}, {}, 100, 1)"):  # fmt: skip
            with pytest.raises(DatabaseError, match="not of this tenant"), two.connection() as connection:
                connection.execute(f"SELECT {call.format(space_id, collection.id)}")


def test_an_index_that_finds_too_little_is_kept_and_said(filled, monkeypatch, caplog):
    db, collection, space_id, partition = filled
    monkeypatch.setattr(registry.vector_index, "measure_recall", lambda samples, search: 0.5)
    with caplog.at_level(logging.WARNING, "registry.vector_index"):
        assert ensure_index(db, space_id, collection.id).recall == 0.5
    assert f"the index of {partition} finds 50 %" in caplog.text
    assert index_state(db, space_id, collection.id).recall == 0.5


def test_recall_is_that_of_the_index_and_not_of_a_scan(filled):
    db, collection, space_id, partition = filled
    with connect_admin(db.url) as admin:  # of a hundred rows; the others are not in it
        admin.execute(f"ALTER TABLE {partition} DISABLE TRIGGER ALL")
        admin.execute(f"CREATE TABLE kept AS SELECT * FROM {partition} WHERE chunk_id > 100")
        admin.execute(f"DELETE FROM {partition} WHERE chunk_id > 100")
        admin.execute(
            f"CREATE INDEX {partition}_hnsw_idx ON {partition} USING hnsw (embedding vector_cosine_ops)"
        )
        admin.execute(
            "UPDATE pg_index SET indisready = false WHERE indexrelid = %s::regclass",
            [f"{partition}_hnsw_idx"],
        )
        admin.execute(f"INSERT INTO {partition} SELECT * FROM kept")
        admin.execute(
            "UPDATE pg_index SET indisready = true WHERE indexrelid = %s::regclass", [f"{partition}_hnsw_idx"]
        )
    assert measure_index(db, space_id, collection.id) < 0.5


# --- what is left behind ------------------------------------------------------------------


def _break(db, name, *, command=""):
    """As a CREATE or REINDEX INDEX CONCURRENTLY that was interrupted leaves its index."""
    with connect_admin(db.url) as admin:
        if command:
            admin.execute(command)
        admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [name])


def test_an_invalid_index_is_dropped_and_built_again(filled):
    db, collection, space_id, partition = filled
    ensure_index(db, space_id, collection.id)
    _break(db, f"{partition}_hnsw_idx")
    assert index_state(db, space_id, collection.id) is None
    assert ensure_index(db, space_id, collection.id).rows == 600
    assert _indexes(db, partition) == {f"{partition}_hnsw_idx": True}


@pytest.mark.parametrize("by", ["ensure_index", "vacuum"])
def test_what_an_interrupted_build_left_beside_the_index_is_dropped(filled, by):
    db, collection, space_id, partition = filled
    ensure_index(db, space_id, collection.id)
    left = f"{partition}_hnsw_idx_ccnew"
    _break(db, left, command=f"CREATE INDEX {left} ON {partition} USING hnsw (embedding vector_cosine_ops)")
    with connect_admin(db.url) as admin:
        admin.execute(f"CREATE TABLE {partition}_new (LIKE {partition})")
    if by == "vacuum":
        vacuum(db, collection.id)
    else:
        assert ensure_index(db, space_id, collection.id) is None
    assert _indexes(db, partition) == {f"{partition}_hnsw_idx": True}
    with connect_admin(db.url) as admin:
        assert admin.execute("SELECT to_regclass(%s)", [f"{partition}_new"]).fetchone() == (None,)


def test_an_index_that_is_being_built_is_left_alone(filled, monkeypatch):
    db, collection, space_id, partition = filled
    monkeypatch.setattr(registry.vector_index, "BROKEN_LOCK_MS", 100)
    left = f"{partition}_slow_idx"
    _break(db, left, command=f"CREATE INDEX {left} ON {partition} USING hnsw (embedding vector_cosine_ops)")
    with connect_admin(db.url) as builder, builder.transaction():
        builder.execute(f"LOCK TABLE {partition} IN SHARE UPDATE EXCLUSIVE MODE")
        assert drop_broken(db, space_id, collection.id) == []
    assert drop_broken(db, space_id, collection.id) == [left]


def test_a_copy_that_was_left_behind_does_not_stop_a_rebuild(filled):
    db, collection, _, partition = filled
    with connect_admin(db.url) as admin:
        admin.execute(f"CREATE TABLE {partition}_new (LIKE {partition})")
    assert rebuild_partition(db, collection.id, list_spaces(db, collection.id)[0])


# --- wear ---------------------------------------------------------------------------------


def _delete(db, collection, count):
    """Delete so many chunks as purge does: nothing refers to them any more."""
    values = {"tenant": db.tenant_id, "collection": collection.id}
    with db.transaction() as connection:
        lock_collection(connection, collection.id)
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM chunk ORDER BY id LIMIT %s", [count])]
        for table in ("version_chunk", "visible"):
            connection.execute(f"DELETE FROM {table} WHERE chunk_id = ANY(%s)", [ids])
        return drop_unused_chunks(connection, values, ids).vectors


def test_an_index_is_built_anew_when_a_fifth_of_it_is_deleted(filled):
    db, collection, space_id, partition = filled
    ensure_index(db, space_id, collection.id)
    assert _delete(db, collection, 100) == 100
    assert index_state(db, space_id, collection.id).deleted == 100
    assert not is_worn(db, space_id, collection.id)
    assert vacuum(db, collection.id) == []
    _delete(db, collection, 50)
    assert is_worn(db, space_id, collection.id)
    assert vacuum(db, collection.id) == [partition]
    state = index_state(db, space_id, collection.id)
    assert (state.rows, state.deleted) == (450, 0)
    assert state.recall >= 0.95
    assert vacuum(db, collection.id) == []


def test_deletions_without_an_index_wear_nothing(filled):
    db, collection, space_id, _ = filled
    _delete(db, collection, 300)
    assert not is_worn(db, space_id, collection.id)


# --- memory and cores ---------------------------------------------------------------------


def test_the_index_fits_into_the_memory_that_is_reckoned(filled):
    """PostgreSQL says so where it does not."""
    db, _, space_id, partition = filled
    space = get_space(db, space_id)
    with connect_admin(db.url) as admin:
        admin.execute(f"CREATE TABLE public.bulk (e vector({DIM}))")
        admin.execute(f"INSERT INTO public.bulk SELECT embedding FROM {partition}, generate_series(1, 8)")
        notices = []
        admin.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        admin.execute("SET max_parallel_maintenance_workers = 0")
        needed = graph_bytes(4_800, space)
        for memory, fits in (
            (needed + (2 << 20), True),
            (needed // 2 + (1 << 20), False),
        ):  # in blocks of 1 MB
            admin.execute(f"SET maintenance_work_mem = '{memory // 1024}kB'")
            admin.execute("CREATE INDEX ON public.bulk USING hnsw (e vector_cosine_ops)")
            assert (notices == []) == fits


def test_a_build_is_given_what_it_needs_and_never_more_than_a_share(filled, monkeypatch):
    db, _, space_id, _ = filled
    space = get_space(db, space_id)
    monkeypatch.setattr(registry.index_sizing, "machine_memory_kb", lambda: 8 << 20)
    monkeypatch.setattr(registry.index_sizing, "free_shared_kb", lambda: 1 << 20)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    with db.connection() as connection:
        assert choose_resources(connection, db.url, 1_000, space) == (64 << 10, 4)
        memory, workers = choose_resources(connection, db.url, 1_000_000, space)
        assert graph_bytes(1_000_000, space) / 1024 < memory < 1 << 20
        assert workers == 4
        assert choose_resources(connection, db.url, 10**8, space) == (2 << 20, 0), "/dev/shm is too small"
        assert choose_resources(connection, "postgresql://u@db/x", 10**8, space) == (512 << 10, None)


def test_a_server_behind_a_socket_is_on_this_machine(db):
    assert is_local(db.url)
    assert is_local("postgresql:///x")
    assert not is_local("postgresql://u@db.example:5432/x")


def test_a_containers_memory_is_its_limit(tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text(f"{64 << 20}\n")
    assert machine_memory_kb(limit) == 64 << 10
    limit.write_text("max\n")
    assert machine_memory_kb(limit) == machine_memory_kb(tmp_path / "absent") > 64 << 10
    assert free_shared_kb(tmp_path / "absent") == machine_memory_kb()
    assert free_shared_kb(tmp_path) > 0


def test_a_build_that_gets_no_shared_memory_goes_on_without_workers(filled):
    db, collection, space_id, partition = filled
    too_much = 2**31 - 1  # kB: more than any machine has to share
    with connect_admin(db.url) as admin:
        admin.execute("SELECT set_config('app.tenant_id', %s, false)", [str(db.tenant_id)])
        admin.execute(f"ALTER TABLE {partition} SET (parallel_workers = 2)")
        admin.execute(f"SET maintenance_work_mem = '{too_much}kB'")
        with pytest.raises(psycopg.OperationalError, match="shared memory"):
            admin.execute(f"CREATE INDEX ON {partition} USING hnsw (embedding vector_cosine_ops)")
        build = "SELECT create_vector_index(%s, %s, %s, 2)"
        assert admin.execute(build, [space_id, collection.id, too_much]).fetchone()[0] > 0
    assert _indexes(db, partition) == {f"{partition}_hnsw_idx": True}


def test_a_build_with_workers_finds_as_much(filled):
    db, collection, space_id, partition = filled
    with connect_admin(db.url) as admin:
        admin.execute("SELECT set_config('app.tenant_id', %s, false)", [str(db.tenant_id)])
        admin.execute(f"ALTER TABLE {partition} SET (parallel_workers = 1)")
        admin.execute("SELECT create_vector_index(%s, %s, 65536, 1)", [space_id, collection.id])
    assert measure_index(db, space_id, collection.id) >= 0.95


# --- seen from outside --------------------------------------------------------------------


def test_status_shows_the_index(world, monkeypatch):
    monkeypatch.setattr(registry.vector_index, "INDEX_FROM_ROWS", 2)
    world.write("a.txt", "A heron.")
    world.ingest()
    assert collection_status(world.session, "default")["index"] is None
    world.write("b.txt", "A stork.")
    world.ingest()
    shown = collection_status(world.session, "default")["index"]
    assert (shown["rows"], shown["recall"], shown["deleted"]) == (2, 1.0, 0)
    assert shown["built_at"] is not None
    assert purge_collection(world.session, "default")["spaces"] == []


def test_searches_find_the_same_after_a_rebuild(filled):
    db, collection, space_id, _ = filled
    ensure_index(db, space_id, collection.id)
    query = _vectors(1, seed=9)[0]
    before = [hit.text for hit in search_collection(db, collection, k=10, vector=query)]
    assert rebuild_partition(db, collection.id, list_spaces(db, collection.id)[0])
    assert [hit.text for hit in search_collection(db, collection, k=10, vector=query)] == before


def test_a_collection_without_vectors_has_no_index(db):
    collection = ensure_collection(db, "empty")
    assert index_state(db, 1, collection.id) is None
    with pytest.raises(psycopg.Error), psycopg.connect(db.url) as raw:
        db._configure(raw)
        raw.execute("SELECT build_vector_index(1, 'chunk', 65536, 0)")
