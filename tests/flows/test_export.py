"""An export holds what the release shows, and is there as a whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import registry.export
from registry.collections import get_collection
from schemas.errors import (
    DatabaseError,
    OutputNotWritable,
    ReleaseIncomplete,
    ReleaseNotFound,
)
from tasks.exporting import export_release
from tests.releases import fill_releases
from tests.texts import english_text, korean_text
from tests.waiting import until
from tests.world import World

FILES = {"documents.parquet", "chunks.parquet", "vectors.parquet", "release.json"}


@pytest.fixture
def filled(database_url, tmp_path):
    """Release 1 with Korean and shared text; release 2 without one document and with another."""
    settings = {"default": {"duplicates": {"policy": "flag"}}}
    with World.open(tmp_path, database_url, collections=settings) as world:
        yield _fill(world)


def _fill(world):
    world.write("새/왜가리.md", f"---\ntitle: 왜가리\ntags: [새, 물]\n---\n# 왜가리\n\n{korean_text(3000)}\n")
    world.write("a.txt", english_text(60, seed=1))
    world.write("copy.txt", f"{english_text(60, seed=1)} {english_text(90, seed=3)}")  # no near-duplicate
    world.ingest()
    (world.folder / "새/왜가리.md").unlink()
    world.write("b.txt", english_text(10, seed=2))
    world.ingest()
    return world


def _export(world, output: Path, release: int | None = None):
    collection = get_collection(world.session.db, "default")
    facts = export_release(world.session.db, collection, output, release=release)
    assert {path.name for path in output.iterdir()} == FILES
    assert json.loads((output / "release.json").read_text(encoding="utf-8")) == facts
    return facts, *(pd.read_parquet(output / f"{n}.parquet") for n in ("documents", "chunks", "vectors"))


def _rows(world, query, *values):
    with world.session.db.connection() as connection:
        return connection.execute(query, values).fetchall()


@pytest.mark.parametrize("release", [1, 2, None])
def test_an_export_holds_what_the_database_shows(filled, tmp_path, release, monkeypatch):
    monkeypatch.setattr(registry.export, "BATCH_ROWS", 3)
    monkeypatch.setattr(registry.export, "BATCH_BYTES", 4000)
    facts, documents, chunks, vectors = _export(filled, tmp_path / "out", release)
    number = release or 2
    then = filled.releases()[-number]
    assert (facts["number"], facts["digest"], facts["kind"]) == (number, then.digest.hex(), "ingest")
    assert facts["counts"] == {"documents": 3, "places": len(chunks), "chunks": then.chunks}
    assert (facts["space"]["model"], facts["space"]["dim"], facts["format"]) == ("all-MiniLM-L6-v2", 384, 1)
    uris = {1: ["a.txt", "copy.txt", "새/왜가리.md"], 2: ["a.txt", "b.txt", "copy.txt"]}
    assert list(documents.uri) == uris[number]
    assert documents.chunks.sum() == len(chunks) > len(vectors) == then.chunks
    assert set(chunks.chunk_hash) == set(vectors.chunk_hash)
    stored = _rows(
        filled,
        "SELECT encode(c.hash, 'hex'), c.text, c.tokens, x.embedding::real[] "
        "FROM chunk c JOIN vectors_1 x ON x.chunk_id = c.id",
    )
    texts = {hash_: (text, tokens) for hash_, text, tokens, _ in stored}
    assert all(texts[row.chunk_hash] == (row.text, row.tokens) for row in chunks.itertuples())
    truth = {hash_: np.array(vector, dtype=np.float32) for hash_, _, _, vector in stored}
    for row in vectors.itertuples():
        assert row.vector.dtype == np.float32
        assert np.array_equal(row.vector, truth[row.chunk_hash])


def test_an_export_keeps_places_and_metadata(filled, tmp_path):
    _, documents, chunks, _ = _export(filled, tmp_path / "out", 1)
    document = documents[documents.uri == "새/왜가리.md"].iloc[0]
    assert (document.title, list(document.tags), document.source) == ("왜가리", ["새", "물"], "docs")
    assert isinstance(json.loads(document.metadata), dict)
    stored = _rows(
        filled,
        "SELECT d.uri, v.version, vc.ordinal, vc.char_start, vc.char_end, vc.heading FROM version_chunk vc "
        "JOIN document_version v ON v.id = vc.version_id JOIN document d ON d.id = v.document_id "
        "WHERE d.uri <> 'b.txt' ORDER BY d.uri, vc.ordinal",
    )
    columns = ["uri", "version", "ordinal", "char_start", "char_end", "heading"]
    assert list(chunks[columns].itertuples(index=False, name=None)) == stored
    assert chunks.page.isna().all()


def test_an_export_of_a_release_that_shows_nothing_has_empty_tables(world, tmp_path):
    path = world.write("a.txt", "A heron.")
    world.ingest()
    path.unlink()
    world.ingest(allow_deletions=True)
    facts, documents, chunks, vectors = _export(world, tmp_path / "out")
    assert facts["counts"] == {"documents": 0, "places": 0, "chunks": 0}
    assert (len(documents), len(chunks), len(vectors)) == (0, 0, 0)
    assert list(vectors.columns) == ["chunk_hash", "vector"]


def _refused(world, output, error, match, release=None):
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else None
    with pytest.raises(error, match=match):
        export_release(world.session.db, get_collection(world.session.db, "default"), output, release=release)
    assert (sorted(output.parent.iterdir()) if output.parent.is_dir() else None) == before


def test_a_folder_that_holds_something_is_left_alone(filled, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    _refused(filled, output, OutputNotWritable, "exists and is not an empty folder")
    assert (output / "mine.txt").read_text() == "mine"
    (output / "mine.txt").unlink()
    _export(filled, output)
    _refused(filled, output, OutputNotWritable, "exists and is not an empty folder")


def test_a_place_that_cannot_be_written_is_named(filled, tmp_path):
    (tmp_path / "file").write_text("in the way")
    _refused(filled, tmp_path / "file" / "out", OutputNotWritable, "cannot be written")
    _refused(filled, tmp_path / "file", OutputNotWritable, "not an empty folder")


def test_a_full_disk_leaves_nothing_behind(filled, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))  # a file larger than that fails to grow
    try:
        _refused(filled, tmp_path / "out", OutputNotWritable, "cannot be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_release_that_is_gone_or_never_was_is_not_exported(filled, tmp_path):
    _refused(filled, tmp_path / "out", ReleaseNotFound, "no release", release=9)
    with filled.session.db.connection() as connection:
        connection.execute("UPDATE release SET missing = 2 WHERE number = 1")
    _refused(filled, tmp_path / "out", ReleaseIncomplete, "2 documents of it", release=1)


def test_a_damaged_registry_is_not_exported_as_if_it_were_whole(filled, tmp_path):
    with filled.session.db.transaction() as connection:
        saved = connection.execute("DELETE FROM vectors_1 WHERE chunk_id = 1 RETURNING *").fetchone()
    _refused(filled, tmp_path / "out", DatabaseError, "should show")
    with filled.session.db.transaction() as connection:
        connection.execute("SELECT 1 FROM collection FOR UPDATE")  # put back: soundness is checked at the end
        connection.execute("INSERT INTO vectors_1 VALUES (%s, %s, %s, %s::vector)", saved)


def _export_and_hang(home, url, output):
    """Stops for good when the last file is being written."""
    import tasks.exporting
    from registry.opening import open_registry

    tasks.exporting._facts = lambda *_: time.sleep(60)
    with open_registry(home, url=url, tenant="default") as db:
        export_release(db, get_collection(db, "default"), output)


def test_a_killed_export_leaves_no_folder_of_that_name(filled, database_url, tmp_path):
    output = tmp_path / "exports" / "out"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_export_and_hang, args=(tmp_path / "home", database_url, output))
    process.start()
    until(lambda: list(tmp_path.glob("exports/.out.*.part/vectors.parquet")), "vectors of the export")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [path.name[:5] for path in output.parent.iterdir()] == [".out."]
    _export(filled, output)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_release(db, tmp_path):
    """Five times the chunks, about the same peak: measured in a process of its own."""
    rng = np.random.default_rng(1)
    peaks = []
    for name, count in (("small", 4_000), ("large", 20_000)):
        vectors = rng.standard_normal((count, 512)).astype(np.float32)
        fill_releases(db, name, [vectors], indexed=False)
        script = (
            "import re, sys; from pathlib import Path\n"
            "import registry.export as e; e.BATCH_ROWS, e.BATCH_BYTES = 1000, 2**20\n"
            "from registry.collections import get_collection\n"
            "from registry.connection import Database\n"
            "from tasks.exporting import export_release\n"
            "db = Database(sys.argv[1], 1, use_role=True)\n"
            "export_release(db, get_collection(db, sys.argv[2]), Path(sys.argv[3]))\n"
            "db.close(); print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, db.url, name, str(tmp_path / name)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        peaks.append(int(done.stdout) / 1024)
        assert len(pd.read_parquet(tmp_path / name / "vectors.parquet")) == count
    assert peaks[1] - peaks[0] < 24, f"{peaks} MB; the larger one's vectors are 40 MB"
