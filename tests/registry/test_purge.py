"""Purge: exactly what the plan says goes, and what is shown does not change."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import numpy as np
import psycopg
import pytest

import registry.space
from benchmarks.filling import store_chunks
from flows.checking import check
from flows.purging import purge_collection
from registry.blobs import BlobStore
from registry.connection import connect_admin
from registry.events import accept_delivery
from registry.locks import lock_blobs
from registry.opening import open_registry
from registry.purge import list_spaces
from registry.runs import hold_new_run, latest_runs
from registry.space import needed_bytes, rebuild_partition, table_sizes
from registry.vector_index import ensure_index
from schemas.chunk import Chunk
from schemas.errors import DatabaseError, RegistryUnsound
from schemas.event import Delivery, NamedChange
from tests.texts import english_text
from tests.world import World

NOTHING = {"keep_versions": 0, "keep_days": 0, "grace_hours": 0}
DAY_NS = 86_400 * 10**9


@pytest.fixture
def sparing(database_url, tmp_path):
    """Opens a world that keeps nothing of the past but what a test asks for."""

    def open_world(**retention):
        settings = {"default": {"retention": {**NOTHING, **retention}}}
        return World.open(tmp_path, database_url, collections=settings)

    return open_world


@pytest.fixture
def world(sparing):
    with sparing() as made:
        yield made
        assert made.problems() == []


def _purge(world, **options):
    return purge_collection(world.session, options.pop("collection", "default"), **options)


def _count(world, table, where="true"):
    with world.session.db.connection() as connection:
        return connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def _everything(world):
    """All rows of all tables, and all files."""
    found = {}
    with connect_admin(world.session.db.url) as admin:
        names = admin.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'revector'::regnamespace"
        ).fetchall()
        for (name,) in names:
            found[name] = sorted(map(str, admin.execute(f"SELECT t::text FROM {name} t").fetchall()))
    root = world.session.settings.home / "blobs"
    found["files"] = sorted((str(p), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file())
    return found


def _history(world):
    """Three states of a.txt, one of b.txt, and c.txt that came and went."""
    world.write("b.txt", "A heron that always stands here.")
    world.write("c.txt", "A crane that is gone.")
    for state in ("first", "second", "third"):
        world.write("a.txt", f"The {state} state of the stork.")
        world.ingest()
    (world.folder / "c.txt").unlink()
    world.ingest(allow_deletions=True)


def _shown(world):
    return world.vector("stork", k=10), world.keyword("heron state", k=10), world.releases()[0].digest


def test_signatures_go_with_the_last_version_of_their_text(world):
    text, other = english_text(20, seed=1), english_text(20, seed=2)
    world.write("a.txt", text)
    world.write("b.txt", other)
    world.ingest()
    world.write("a.txt", other)  # b.txt keeps this text
    world.write("c.txt", f"{text} It goes on a little.")
    world.ingest()
    assert _count(world, "signature") == 3
    bands = _count(world, "signature_band")
    assert bands == _count(world, "signature, unnest(bands)") > 30
    planned = _purge(world, dry_run=True)
    assert (planned["versions"]["dropped"], planned["signatures"]) == (1, 1)
    done = _purge(world)
    assert (done["versions"]["dropped"], done["signatures"]) == (1, 1)
    assert (_count(world, "signature"), _count(world, "signature_band")) == (2, bands - 16)
    (world.folder / "a.txt").unlink()
    world.ingest(allow_deletions=True)
    done = _purge(world)
    assert (done["versions"]["dropped"], done["signatures"], _count(world, "signature")) == (1, 0, 2)
    assert _check(world).orphans.signatures == 0


def test_a_signature_that_no_version_has_is_swept(world):
    world.write("a.txt", english_text(20, seed=1))
    world.ingest()
    with connect_admin(world.session.db.url) as admin:
        admin.execute(
            "WITH stray AS (INSERT INTO revector.signature (tenant_id, collection_id, text_sha256, params, "
            "kind, characters, minhash, shingles, words, numbers, bands) SELECT tenant_id, collection_id, "
            "sha256('x'), params, kind, characters, minhash, shingles, words, numbers, bands "
            "FROM revector.signature RETURNING *) INSERT INTO revector.signature_band "
            "SELECT DISTINCT tenant_id, collection_id, unnest(bands), id FROM stray"
        )
    report = _check(world)
    assert (report.problems, report.orphans.signatures) == ([], 1)
    assert _purge(world)["signatures"] == 1
    assert (_count(world, "signature"), _count(world, "signature_band")) == (1, 16)


def _check(world):
    return check(world.session, "default")


def test_exactly_what_the_plan_says_is_dropped_and_search_stays_as_it_was(world):
    _history(world)
    before = _shown(world)
    planned = _purge(world, dry_run=True)
    done = _purge(world)
    same = ("versions", "chunks", "vectors", "parsed", "signatures", "blobs", "items")
    assert {key: planned[key] for key in same} == {key: done[key] for key in same}
    assert done["versions"] == {"kept": 2, "dropped": 3}
    assert (done["chunks"], done["vectors"], done["parsed"], done["blobs"], done["documents"]) == (
        3,
        3,
        3,
        3,
        1,
    )
    for table, rows in {
        "document_version": 2,
        "chunk": 2,
        "vectors_1": 2,
        "parsed": 2,
        "document": 2,
    }.items():
        assert _count(world, table) == rows, table
    assert before == (
        world.vector("stork", k=10),
        world.keyword("heron state", k=10),
        world.releases()[0].digest,
    )
    assert world.ingest().state == "unchanged"
    assert _purge(world)["versions"] == {"kept": 2, "dropped": 0}
    states = [run["state"] for run in latest_runs(world.session.db, 1)]
    assert states[:3] == ["unchanged", "unchanged", "succeeded"]


def test_a_dry_run_changes_nothing(world):
    _history(world)
    before = _everything(world)
    report = _purge(world, dry_run=True)
    assert report["versions"]["dropped"] == 3
    assert report["run_id"] is None
    assert _everything(world) == before


def test_releases_count_the_documents_they_have_lost(world):
    _history(world)
    _purge(world)
    # release 1 showed a1, b, c; 2 showed a2, b, c; 3 showed a3, b, c; 4 shows a3, b
    assert {r.number: r.missing for r in world.releases()} == {1: 2, 2: 2, 3: 1, 4: 0}


def test_what_a_tagged_release_shows_is_kept(sparing):
    with sparing() as world:
        _history(world)
        with world.session.db.connection() as connection:
            connection.execute("INSERT INTO release_tag VALUES (1, 1, 'good', 2)")
        report = _purge(world)
        assert [(i["uri"], i["version"]) for i in report["items"] if not i["keep"]] == [("a.txt", 1)]
        assert {r.number: r.missing for r in world.releases()} == {1: 1, 2: 0, 3: 0, 4: 0}
        assert world.problems() == []


def test_a_tag_given_after_the_plan_keeps_its_release(world, monkeypatch):
    _history(world)
    original = registry.purge.drop_versions

    def tag_first(*args, **options):
        with world.session.db.connection() as connection:
            connection.execute("INSERT INTO release_tag VALUES (1, 1, 'good', 2)")
        return original(*args, **options)

    monkeypatch.setattr("flows.purging.drop_versions", tag_first)
    assert _purge(world)["versions"]["dropped"] == 1
    assert {r.number: r.missing for r in world.releases()} == {1: 1, 2: 0, 3: 0, 4: 0}


def test_a_tag_that_is_being_given_is_waited_for(world):
    _history(world)
    inserted = threading.Event()

    def tag_slowly():
        with world.session.db.transaction() as connection:
            connection.execute("INSERT INTO release_tag VALUES (1, 1, 'good', 2)")
            inserted.set()
            time.sleep(0.5)

    thread = threading.Thread(target=tag_slowly)
    thread.start()
    assert inserted.wait(10)
    assert _purge(world)["versions"]["dropped"] == 1
    thread.join()
    assert {r.number: r.missing for r in world.releases()} == {1: 1, 2: 0, 3: 0, 4: 0}


def test_a_version_shown_again_after_the_plan_is_kept(world, monkeypatch):
    _history(world)
    original = registry.purge.drop_versions

    def show_again(*args, **options):
        for state in ("first", "third"):
            world.write("a.txt", f"The {state} state of the stork.")
            assert world.ingest().chunks.embedded == 0
        return original(*args, **options)

    monkeypatch.setattr("flows.purging.drop_versions", show_again)
    assert _purge(world)["versions"]["dropped"] == 2  # a2 and c
    assert _count(world, "document_version") == 3


def test_the_days_since_a_version_was_shown_count(sparing):
    with sparing(keep_days=7) as world:
        _history(world)
        assert _purge(world)["versions"]["dropped"] == 0
        later = replace(world.session, clock_ns=lambda: time.time_ns() + 8 * DAY_NS)
        assert purge_collection(later, "default")["versions"]["dropped"] == 3
        assert world.problems() == []


def test_content_that_comes_back_after_its_purge_is_embedded_once(world):
    _history(world)
    _purge(world)
    world.write("a.txt", "The first state of the stork.")
    report = world.ingest()
    assert (report.documents.changed, report.chunks.embedded) == (1, 1)
    assert world.keyword("first")[0].uri == "a.txt"
    world.write("d.txt", "The first state of the stork.")
    assert world.ingest().chunks.embedded == 0


def test_what_a_crashed_run_stored_is_kept_for_its_grace_only(sparing, monkeypatch):
    with sparing(grace_hours=24) as world:
        world.write("a.txt", "A document that is shown.")
        world.ingest()
        world.write("b.txt", "A document whose run dies.")
        with monkeypatch.context() as patch:
            patch.setattr("tasks.publishing.activate_run", _die)
            with pytest.raises(KeyboardInterrupt):
                world.ingest()
        store_chunks(world.session.db, 1, 1, [_chunk("stray")], np.eye(1, 384, dtype=np.float32))
        assert _purge(world)["versions"]["dropped"] == 0
        assert _count(world, "chunk") == 3
        later = replace(world.session, clock_ns=lambda: time.time_ns() + 2 * DAY_NS)
        report = purge_collection(later, "default")
        assert (report["versions"]["dropped"], report["chunks"], report["vectors"]) == (1, 2, 2)
        assert (_count(world, "document"), _count(world, "parsed"), _count(world, "vectors_1")) == (1, 1, 1)
        assert {r.missing for r in world.releases()} == {0}
        assert world.problems() == []


def _die(*args, **options):
    raise KeyboardInterrupt


def _chunk(text):
    return Chunk(text, "prose", 1, 0, len(text), None, "")


def test_what_a_run_left_staged_is_kept_until_the_days_are_over(sparing, monkeypatch):
    with sparing(keep_days=7) as world:
        world.write("a.txt", "The first state.")
        world.ingest()
        world.write("a.txt", "The second state.")
        with monkeypatch.context() as patch:
            patch.setattr("tasks.vectors.store_vectors", lambda *args, **options: 0)
            with pytest.raises(Exception, match="have no vector"):
                world.ingest()
        reasons = {item["version"]: item["reason"] for item in _purge(world)["items"]}
        assert reasons[2] == "A run has staged it."
        assert _count(world, "staged_change") == 1
        later = replace(world.session, clock_ns=lambda: time.time_ns() + 8 * DAY_NS)
        assert purge_collection(later, "default")["versions"]["dropped"] == 1
        assert _count(world, "staged_change") == 0
        assert _count(world, "run", "state = 'stopped'") == 1
        assert world.problems() == []


def test_what_a_rollback_holds_stays_known(world):
    _history(world)
    with world.session.db.connection() as connection:
        connection.execute(
            "INSERT INTO hold (tenant_id, collection_id, document_id, release) "
            "SELECT 1, 1, id, 4 FROM document WHERE uri = 'c.txt'"
        )
    assert _purge(world)["versions"]["dropped"] == 3
    assert (_count(world, "hold"), _count(world, "document")) == (1, 3)


def test_an_unsound_collection_is_not_purged(sparing):
    with sparing() as world:
        _history(world)
        with world.session.db.connection() as connection:
            connection.execute("UPDATE visible SET refs = refs + 1")
        with pytest.raises(RegistryUnsound, match=r"visible.refs.*revector check") as error:
            _purge(world)
        assert error.value.exit_code == 3
        assert _count(world, "document_version") == 5
        assert _count(world, "run", "state = 'stopped'") == 1


def test_what_only_the_whole_check_sees_stops_a_purge_too(sparing):
    with sparing() as world:
        _history(world)
        with world.session.db.connection() as connection:
            connection.execute("UPDATE chunk SET text = text || ' ' WHERE id = 1")
        with pytest.raises(RegistryUnsound, match="chunks hold the text they are named by"):
            _purge(world)
        with world.session.db.connection() as connection:
            connection.execute("UPDATE chunk SET text = rtrim(text) WHERE id = 1")
        assert _purge(world)["versions"]["dropped"] > 0


# --- others are left alone ---------------------------------------------------------------


def test_a_purge_never_touches_another_tenant(database_url, tmp_path):
    settings = {"default": {"retention": NOTHING}}
    worlds = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with World.open(tmp_path / name, database_url, tenant=name, collections=settings) as world:
            world.session = replace(world.session, settings=world.session.settings)
            _history(world)
            worlds[name] = _mine(world)
    with World.open(tmp_path / "one", database_url, tenant="one", collections=settings) as one:
        assert _purge(one)["versions"]["dropped"] == 3
        assert one.problems() == []
    with World.open(tmp_path / "two", database_url, tenant="two", collections=settings) as two:
        assert _mine(two) == worlds["two"]
        assert two.problems() == []


def _mine(world):
    tables = ("document", "document_version", "chunk", "version_chunk", "activation", "parsed", "vectors_1")
    blobs = BlobStore(world.session.settings.home, world.session.db.tenant_id)
    return {table: _count(world, table) for table in tables} | {"blobs": sorted(blobs.stored())}


def test_a_blob_that_another_collection_needs_stays(world):
    _history(world)
    (world.folder / "old.txt").write_text("The first state of the stork.")
    world.ingest(collection="second")
    assert _purge(world)["blobs"] == 2
    assert world.problems("second") == []


# --- blobs and runs at the same time -----------------------------------------------------


def _blobs(world):
    return BlobStore(world.session.settings.home, world.session.db.tenant_id)


def _put(blobs, tmp_path, text):
    path = tmp_path / "item"
    path.write_text(text)
    with path.open("rb") as stream:
        return blobs.put(stream)[0]


def _age(path, days=1):
    old = time.time() - days * 86_400
    os.utime(path, (old, old))


def test_a_blob_that_is_put_again_is_touched(tmp_path):
    blobs = BlobStore(tmp_path / "home", 1)
    digest = _put(blobs, tmp_path, "some bytes")
    _age(blobs.path(digest))
    before = time.time() - 60
    assert _put(blobs, tmp_path, "some bytes") == digest
    assert blobs.path(digest).stat().st_mtime > before


def test_a_blob_that_vanishes_while_it_is_put_is_written_anew(tmp_path, monkeypatch):
    blobs = BlobStore(tmp_path / "home", 1)
    digest = _put(blobs, tmp_path, "some bytes")

    def delete_first(path, *args):
        assert blobs.discard(digest, untouched_since=None) == 10
        raise FileNotFoundError(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", delete_first)
        assert _put(blobs, tmp_path, "some bytes") == digest
    assert blobs.path(digest).read_text() == "some bytes"


def test_a_blob_that_is_put_while_it_is_being_deleted_stays(tmp_path, monkeypatch):
    blobs = BlobStore(tmp_path / "home", 1)
    digest = _put(blobs, tmp_path, "some bytes")
    path = blobs.path(digest)
    _age(path)
    rename = type(path).rename

    def touch_first(self, target):
        os.utime(self)
        monkeypatch.undo()
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", touch_first)
    assert blobs.discard(digest, untouched_since=time.time() - 60) is None
    assert path.read_text() == "some bytes"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_purge_killed_while_it_deletes_a_blob_is_made_good(world):
    _history(world)
    blobs = _blobs(world)
    needed, part = next(blobs.stored()), blobs.root / ".0123.part"
    path = blobs.path(needed)
    path.rename(path.with_name(f".{path.name}.gone"))
    part.write_text("half")
    _purge(world)
    assert not part.exists()
    assert [p for p in blobs.root.rglob("*") if p.name.startswith(".")] == []


def test_beside_a_live_run_only_blobs_that_it_cannot_have_put_are_deleted(world, tmp_path):
    world.write("a.txt", "A document.")
    world.ingest()
    blobs = _blobs(world)
    old, young = _put(blobs, tmp_path, "old bytes"), _put(blobs, tmp_path, "young bytes")
    _age(blobs.path(old))
    part = blobs.root / ".0123.part"
    part.write_text("half")
    with hold_new_run(world.session.db, 1, uuid4(), flow="ingest", trigger="manual", scope=""):
        assert _purge(world)["blobs"] == 1
        assert (blobs.path(old).exists(), blobs.path(young).exists(), part.exists()) == (False, True, True)
    assert _purge(world)["blobs"] == 1  # that run is dead now
    assert (blobs.path(young).exists(), part.exists()) == (False, False)


def test_a_run_cannot_begin_while_blobs_are_deleted(world):
    world.write("a.txt", "A document.")
    world.ingest()
    began = threading.Event()

    def begin():
        with hold_new_run(world.session.db, 1, uuid4(), flow="ingest", trigger="manual", scope=""):
            began.set()

    thread = threading.Thread(target=begin)
    with world.session.db.transaction() as connection:
        lock_blobs(connection, world.session.db.tenant_id)
        thread.start()
        assert not began.wait(0.3)
    assert began.wait(10)
    thread.join()


# --- space -------------------------------------------------------------------------------


def _fill_partition(world, rows, *, index):
    """Stray chunks with vectors, as a crashed run leaves them."""
    rng = np.random.default_rng(1)
    db = world.session.db
    for start in range(0, rows, 2000):
        chunks = [_chunk(f"stray {number}") for number in range(start, min(start + 2000, rows))]
        vectors = rng.standard_normal((len(chunks), 384)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store_chunks(db, 1, 1, chunks, vectors)
    if index:
        assert ensure_index(db, 1, 1)
    return list_spaces(db, 1)[0]


def _partition(world):
    """(indexes, parents, left-overs) of the partition."""
    queries = (
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'vectors_1_1'::regclass",
        "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = 'vectors_1_1'::regclass",
        "SELECT relname FROM pg_class WHERE relname LIKE '%\\_new%'",
    )
    with connect_admin(world.session.db.url) as admin:
        return tuple(sorted(name for (name,) in admin.execute(query)) for query in queries)


def test_the_space_of_deleted_vectors_comes_back_and_searches_go_on(world):
    world.write("a.txt", "A heron that stays.")
    world.ingest()
    _fill_partition(world, 5_200, index=True)
    before = table_sizes(world.session.db, 1)["vectors_1_1"]
    waits, wrong, stop = [], [], threading.Event()

    def search():
        while not stop.is_set():
            started = time.perf_counter()
            if [hit.uri for hit in world.vector("heron")] != ["a.txt"]:
                wrong.append("no hit")
            waits.append(time.perf_counter() - started)

    thread = threading.Thread(target=search)
    thread.start()
    report = _purge(world)
    stop.set()
    thread.join()
    after = table_sizes(world.session.db, 1)["vectors_1_1"]
    print(f"\n{before} -> {after} bytes; {len(waits)} searches, slowest {max(waits) * 1000:.0f} ms")
    assert report["rebuilt"] == ["vectors_1_1"]
    assert before > 8 << 20
    assert after < before / 50
    assert wrong == []
    assert len(waits) > 10
    assert _partition(world) == (
        ["vectors_1_1_hnsw_idx", "vectors_1_1_pkey"],
        ["vectors_1"],
        [],
    )
    world.write("b.txt", "A crane that comes later.")
    assert world.ingest().chunks.embedded == 1
    assert world.vector("crane")[0].uri == "b.txt"


def test_a_search_that_began_before_the_swap_sees_all_vectors(world):
    world.write("a.txt", "A heron.")
    world.ingest()
    space = list_spaces(world.session.db, 1)[0]
    with world.session.db.transaction() as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        reader.execute("SELECT count(*) FROM chunk")  # takes the snapshot
        assert rebuild_partition(world.session.db, 1, space)
        assert reader.execute("SELECT count(*) FROM vectors_1").fetchone() == (1,)


def test_a_reader_that_does_not_let_go_keeps_the_partition_as_it_is(world, monkeypatch):
    world.write("a.txt", "A heron.")
    world.ingest()
    space = list_spaces(world.session.db, 1)[0]
    monkeypatch.setattr(registry.space, "LOCK_ATTEMPTS", 2)
    with world.session.db.transaction() as reader:
        reader.execute("SELECT count(*) FROM vectors_1")
        started = time.perf_counter()
        assert not rebuild_partition(world.session.db, 1, space)
        assert time.perf_counter() - started < 5
        assert world.vector("heron")[0].uri == "a.txt"
    assert _partition(world)[2] == []
    assert rebuild_partition(world.session.db, 1, space)


def test_a_vacuum_is_waited_for_before_the_swap_and_not_raced(world, monkeypatch):
    """An autovacuum yields to who waits for a second; the swap waits for 200 ms at a time."""
    world.write("a.txt", "A heron.")
    world.ingest()
    space = list_spaces(world.session.db, 1)[0]
    monkeypatch.setattr(registry.space, "LOCK_ATTEMPTS", 1)
    with connect_admin(world.session.db.url) as vacuum, ThreadPoolExecutor(1) as worker:
        with vacuum.transaction():
            vacuum.execute("LOCK TABLE vectors_1_1 IN SHARE UPDATE EXCLUSIVE MODE")
            rebuilt = worker.submit(rebuild_partition, world.session.db, 1, space)
            time.sleep(1)
            assert not rebuilt.done()
        assert rebuilt.result(timeout=30)
        monkeypatch.setattr(registry.space, "VACUUM_MS", 100)
        with vacuum.transaction():
            vacuum.execute("LOCK TABLE vectors_1_1 IN SHARE UPDATE EXCLUSIVE MODE")
            assert not rebuild_partition(world.session.db, 1, space)
    assert _partition(world)[2] == []


def test_a_rebuilt_partition_is_guarded_as_before(world, database_url):
    world.write("a.txt", "A heron.")
    world.ingest()
    db = world.session.db
    assert rebuild_partition(db, 1, list_spaces(db, 1)[0])
    row = "1, 1, 99, array_fill(0.1, ARRAY[384])::vector"
    with db.connection() as connection:
        connection.execute(f"INSERT INTO vectors_1_1 SELECT {row}")
        connection.execute("DELETE FROM vectors_1 WHERE chunk_id = 99")
    with pytest.raises(DatabaseError, match="lacks a right"), db.connection() as connection:
        connection.execute("SELECT * FROM vectors_1_1")
    with psycopg.connect(database_url) as raw:
        db._configure(raw)
        raw.execute("SET app.tenant_id = '2'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not of this tenant"):
            raw.execute(f"INSERT INTO vectors_1_1 SELECT {row}")


def test_the_partition_of_another_tenant_cannot_be_rebuilt(world, database_url, tmp_path):
    world.write("a.txt", "A heron.")
    world.ingest()
    space = list_spaces(world.session.db, 1)[0]
    with open_registry(tmp_path / "two", url=database_url, tenant="two") as two:
        with pytest.raises(DatabaseError, match="not of this tenant"):
            rebuild_partition(two, 1, space)
        for call in ("begin_vector_rebuild(1, 1, 200)", "finish_vector_rebuild(1, 1, 200, 1, 65536, 0)"):
            with pytest.raises(DatabaseError, match="not of this tenant"), two.connection() as connection:
                connection.execute(f"SELECT {call}")


def test_the_bytes_a_partition_needs_are_those_it_takes_when_freshly_written(world):
    world.write("a.txt", "A heron.")
    world.ingest()
    space = _fill_partition(world, 2_000, index=False)
    rebuild_partition(world.session.db, 1, space)
    with world.session.db.connection() as connection:
        found = connection.execute("SELECT pg_relation_size('vectors_1_1')").fetchone()[0]
    needed = needed_bytes(2_001, space)
    assert needed <= found < 1.3 * needed  # COPY extends a table by more pages than it fills


# --- events -------------------------------------------------------------------------------


def _deliver(world, name, *, days_ago, state):
    """A delivery with one event that came so long ago."""
    change = NamedChange(1, "a.txt", "changed")
    accept_delivery(world.session.db, 1, Delivery("cms", name, bytes(32), (change,)))
    with world.session.db.connection() as connection:
        connection.execute(
            "UPDATE delivery SET received_at = clock_timestamp() - make_interval(days => %s) "
            "WHERE delivery = %s",
            [days_ago, name],
        )
        connection.execute(
            "UPDATE event SET state = %s FROM delivery d WHERE d.id = delivery_id AND d.delivery = %s",
            [state, name],
        )


def test_old_deliveries_go_unless_something_of_them_waits(world):
    world.write("a.txt", "A heron.")
    world.ingest()
    for name, days_ago, state in (
        ("old", 31, "applied"), ("failed", 31, "failed"), ("waits", 31, "pending"), ("young", 29, "applied")
    ):  # fmt: skip
        _deliver(world, name, days_ago=days_ago, state=state)
    before = _everything(world)
    assert _purge(world, dry_run=True)["deliveries"] == 2
    assert _everything(world) == before
    report = _purge(world)
    assert (report["deliveries"], report["versions"]["dropped"], report["blobs"]) == (2, 0, 0)
    with world.session.db.connection() as connection:
        left = connection.execute("SELECT delivery FROM delivery ORDER BY id").fetchall()
    assert left == [("waits",), ("young",)]
    assert _count(world, "event") == 2
    last = latest_runs(world.session.db, 1)[0]
    assert (last["flow"], last["state"]) == ("purge", "succeeded")
    assert _purge(world)["deliveries"] == 0
    assert latest_runs(world.session.db, 1)[0]["state"] == "unchanged"
