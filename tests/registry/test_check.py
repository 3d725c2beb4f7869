"""The check finds what is broken, names it, and nothing else; repair mends what can be mended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import schemas.check as invariants
from flows.checking import check
from flows.pipeline import ingest_location
from registry.blobs import BlobStore
from registry.check import check_collection
from registry.check_release import check_release
from registry.check_vectors import UNIT_TOLERANCE, recall_at
from registry.collections import get_collection
from registry.election import list_clusters
from schemas.chunk import chunk_hash
from schemas.digest import release_digest
from schemas.errors import CollectionNotFound
from tasks.batch import plain_steps
from tasks.publishing import activate
from tests.texts import english_text
from tests.world import World


@pytest.fixture
def made(database_url, tmp_path):
    """A world with three releases; unlike `world` it may end broken."""
    with World.open(tmp_path, database_url) as world:
        for number in range(4):
            world.write(f"doc{number}.txt", english_text(20, seed=number))
        world.write("copy.txt", english_text(20, seed=0))
        world.ingest()
        world.write("doc1.txt", english_text(25, seed=11))
        world.ingest()
        (world.folder / "doc2.txt").unlink()
        world.write("new.txt", "A stork on the chimney.")
        world.ingest()
        yield world


def _sql(world, statement, **values):
    """As the owner, whom no policy and no right holds."""
    with world.session.db.connection() as connection:
        connection.execute("RESET ROLE")
        try:
            return connection.execute(statement, values)
        finally:
            connection.execute("SET ROLE revector_app")


def _found(report):
    return {problem.invariant for problem in report.problems}


def _blob(world, uri, version=1):
    row = _sql(
        world,
        "SELECT v.content_sha256 FROM document_version v JOIN document d ON d.id = v.document_id "
        "WHERE d.uri = %(uri)s AND v.version = %(version)s",
        uri=uri,
        version=version,
    ).fetchone()
    return BlobStore(world.session.settings.home, world.session.db.tenant_id).path(bytes(row[0]))


def test_a_sound_collection_has_no_problems(made):
    report = check(made.session, "default")
    assert report.problems == []
    assert report.checked["releases"] == 3
    assert report.checked["versions"] == report.checked["blobs"] + 1 == 7  # two files are equal
    assert report.checked["vectors"] == report.checked["chunks"] > report.checked["visible"] > 4
    assert report.checked["blob_bytes"] > 1000
    assert report.hnsw_recall is None
    assert (report.orphans.chunks, report.orphans.signatures, report.orphans.blobs) == (0, 0, 0)
    assert (report.checked["duplicates"], report.checked["signatures"]) == (1, 6)
    quick = check(made.session, "default", quick=True)
    assert (quick.problems, quick.orphans, quick.checked["blobs"]) == ([], None, 4)


def test_a_repair_of_a_sound_collection_does_nothing(made):
    before = _rows(made)
    report = check(made.session, "default", repair=True)
    assert (report.problems, report.repaired) == ([], [])
    assert _rows(made) == before


def _rows(world):
    tables = (
        "collection", "document", "release", "visible", "activation", "vectors_1", "staged_change",
        "signature", "signature_band",
    )  # fmt: skip
    return {table: _sql(world, f"SELECT * FROM {table} t ORDER BY t::text").fetchall() for table in tables}


BREAKS = {
    invariants.VECTORS: [
        "DELETE FROM vectors_1 WHERE chunk_id = (SELECT min(chunk_id) FROM visible)",
    ],
    invariants.REFS: [
        "UPDATE visible SET refs = refs + 1 WHERE chunk_id = (SELECT min(chunk_id) FROM visible)",
    ],
    invariants.STATE: [
        "UPDATE collection SET digest_state = set_byte(digest_state, 5, 255 - get_byte(digest_state, 5))",
    ],
    invariants.STAGED: [
        "INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action) "
        "SELECT tenant_id, collection_id, run_id, 1, 'deleted' FROM release WHERE number = 1",
    ],
    invariants.VECTOR_CHUNKS: [
        "INSERT INTO vectors_1 SELECT tenant_id, collection_id, 99999, embedding FROM vectors_1 LIMIT 1",
    ],
    invariants.BANDS: [
        "DELETE FROM signature_band WHERE (band, signature_id) = "
        "(SELECT min(band), 1 FROM signature_band WHERE signature_id = 1)",
        "INSERT INTO signature_band SELECT tenant_id, collection_id, band, 99999 FROM signature_band LIMIT 1",
        "INSERT INTO signature_band SELECT tenant_id, collection_id, band + 1, signature_id "
        "FROM signature_band WHERE signature_id = 2 LIMIT 1",
    ],
    invariants.UNIT: [
        "UPDATE vectors_1 SET embedding = embedding * array_fill(1.01, ARRAY[384])::vector "
        "WHERE chunk_id = (SELECT min(chunk_id) FROM visible)",
        "UPDATE vectors_1 SET embedding = array_fill(0, ARRAY[384])::vector "
        "WHERE chunk_id = (SELECT max(chunk_id) FROM visible)",
    ],
}  # fmt: skip


@pytest.mark.parametrize("invariant", BREAKS)
def test_what_follows_from_the_rest_is_found_and_mended(made, invariant):
    best = made.vector(english_text(3, seed=0))[0]
    sound = _rows(made)
    for statement in BREAKS[invariant]:
        assert _sql(made, statement).rowcount == 1
    assert _found(check(made.session, "default")) == {invariant}
    quick = {invariant} if invariant in invariants.QUICK else set()
    assert _found(check(made.session, "default", quick=True)) == quick
    report = check(made.session, "default", repair=True)
    assert report.problems == []
    assert len(report.repaired) == 1
    assert report.notes == []
    assert _rows(made) == sound
    assert made.vector(english_text(3, seed=0))[0] == best


def test_a_vector_within_the_rounding_of_halfvec_is_sound(made):
    factor = 1 + UNIT_TOLERANCE * 0.9
    _sql(made, f"UPDATE vectors_1 SET embedding = embedding * array_fill({factor}, ARRAY[384])::vector")
    assert check(made.session, "default").problems == []


def test_visible_is_rebuilt_from_nothing_and_from_too_much(made):
    sound = _rows(made)["visible"]
    old = "SELECT tenant_id, collection_id, id, 7 FROM chunk WHERE id NOT IN (SELECT chunk_id FROM visible)"
    assert _sql(made, f"INSERT INTO visible {old}").rowcount > 0
    _sql(made, "DELETE FROM visible WHERE chunk_id = (SELECT min(chunk_id) FROM visible)")
    found = _found(check(made.session, "default", quick=True))
    assert found >= {invariants.REFS}
    assert check(made.session, "default", quick=True, repair=True).problems == []
    assert _rows(made)["visible"] == sound


def test_an_unknown_model_leaves_vectors_missing_and_says_why(made, monkeypatch):
    _sql(made, "DELETE FROM vectors_1")
    _sql(made, "UPDATE visible SET refs = 9")
    _sql(made, "UPDATE embedding_space SET revision = 'other'")
    report = check(made.session, "default", repair=True)
    assert _found(report) == {invariants.VECTORS}
    assert "other" in report.notes[0]
    assert "Set the model back" in report.notes[0]
    assert {repaired.invariant for repaired in report.repaired} == {invariants.REFS}


def test_old_releases_keep_their_vectors_after_a_repair(made):
    """A vector that is unfit is replaced, also of a chunk that only an earlier release shows."""
    _sql(made, "UPDATE vectors_1 SET embedding = array_fill(0, ARRAY[384])::vector")
    count = _sql(made, "SELECT count(*) FROM vectors_1").fetchone()[0]
    assert f"{count} are not" in [p.detail for p in check(made.session, "default").problems]
    assert check(made.session, "default", repair=True).problems == []
    assert _sql(made, "SELECT count(*) FROM vectors_1").fetchone()[0] == count


# --- what a repair leaves alone ------------------------------------------------------------

LASTING = {
    "the digest of the current release": (
        "UPDATE release SET digest = sha256('x') WHERE number = 3", {invariants.DIGEST}),
    "the counts of the current release": (
        "UPDATE release SET documents = 9 WHERE number = 3", {invariants.COUNTS}),
    "the digest of a past release": (
        "UPDATE release SET digest = sha256('x') WHERE number = 2", {invariants.HISTORY}),
    "the chunks of a past release": (
        "UPDATE release SET chunks = chunks + 1 WHERE number = 1", {invariants.HISTORY}),
    "a past activation is gone": (
        "DELETE FROM activation WHERE to_release = 3", {invariants.HISTORY}),
    "a past activation ends too late": (
        "UPDATE activation SET to_release = 3 WHERE to_release = 2",
        {invariants.HISTORY, invariants.INTERVALS}),
    "an activation ends in the future": (
        "UPDATE activation SET to_release = 7 WHERE to_release = 3", {invariants.INTERVALS}),
    "an activation shows another document's version": (
        "UPDATE activation SET version_id = (SELECT max(id) FROM document_version) WHERE to_release = 3",
        {invariants.HISTORY, invariants.INTERVALS}),
    "a place of a chunk in an old version is gone": (
        "DELETE FROM version_chunk WHERE ordinal = 0 AND version_id = "
        "(SELECT version_id FROM activation WHERE to_release = 3)",
        {invariants.PLACES, invariants.CONTENT, invariants.HISTORY}),
    "the ordinals of a version have a gap": (
        "UPDATE version_chunk SET ordinal = 5000 WHERE ordinal = 0 AND version_id = 1",
        {invariants.PLACES, invariants.CONTENT}),
    "the text of a chunk was changed": (
        "UPDATE chunk SET text = text || ' ' WHERE id = 1", {invariants.TEXTS}),
    "a version has another chunk": (
        "UPDATE version_chunk SET chunk_id = (SELECT max(id) FROM chunk) WHERE ordinal = 0 AND version_id = "
        "(SELECT version_id FROM activation WHERE to_release = 3)", {invariants.CONTENT}),
    "a document has another name": (
        "UPDATE document SET uri = 'other.txt' WHERE uri = 'doc3.txt'", {invariants.CONTENT}),
}  # fmt: skip


@pytest.mark.parametrize("what", LASTING)
def test_what_nothing_follows_from_is_found_and_left_alone(made, what):
    statement, expected = LASTING[what]
    assert _sql(made, statement).rowcount >= 1
    before = _rows(made)
    assert _found(check(made.session, "default")) == expected
    report = check(made.session, "default", repair=True)
    assert _found(report) == expected
    assert all(problem.advice for problem in report.problems)
    assert report.repaired == []
    assert _rows(made) == before


def test_two_open_activations_of_a_document_are_found(made):
    _sql(made, "DROP INDEX activation_open_idx")
    _sql(made, "UPDATE activation SET to_release = NULL WHERE to_release = 2")
    found = _found(check(made.session, "default", quick=True))
    assert invariants.ONE_ACTIVE in found
    assert invariants.INTERVALS in _found(check(made.session, "default"))


def test_a_lost_current_activation_is_mended_but_for_the_release(made):
    """The set hash and `visible` follow the activations, so that the next release is right."""
    _sql(made, "DELETE FROM activation WHERE to_release IS NULL AND from_release = 3")
    assert _found(check(made.session, "default")) == {
        invariants.REFS, invariants.STATE, invariants.DIGEST, invariants.COUNTS
    }  # fmt: skip
    report = check(made.session, "default", repair=True)
    assert _found(report) == {invariants.DIGEST, invariants.COUNTS}
    assert made.keyword("stork") == []
    made.ingest()
    assert [hit.uri for hit in made.keyword("stork")] == ["new.txt"]
    assert invariants.DIGEST not in _found(check(made.session, "default", quick=True))


def test_a_release_whose_documents_were_removed_is_passed_over_and_those_around_it_are_not(made):
    """As purge does it: the version that releases 1 and 2 showed goes with its activations."""
    _sql(made, "DELETE FROM activation WHERE to_release = 3")
    assert _found(check(made.session, "default")) == {invariants.HISTORY}
    _sql(made, "UPDATE release SET missing = 1 WHERE number IN (1, 2)")
    report = check(made.session, "default")
    assert (report.problems, report.checked["releases"]) == ([], 1)
    _sql(made, "UPDATE release SET missing = 0 WHERE number = 2")
    assert [p.detail[:9] for p in check(made.session, "default").problems] == ["release 2"]


def test_releases_are_compared_with_the_space_they_were_made_in(made):
    """As after a change of the model: another space is active, the past keeps its own."""
    space = (
        "INSERT INTO embedding_space (modality, provider, model, revision, dim, dtype, normalised, "
        "document_prompt, query_prompt, fingerprint) SELECT modality, provider, model, '2', dim, dtype, "
        "normalised, document_prompt, query_prompt, 'another' FROM embedding_space"
    )
    _sql(made, space)
    _sql(made, "SELECT set_config('app.tenant_id', '1', false)")
    _sql(made, "SELECT create_vector_partition(2, 1)")
    _sql(made, "INSERT INTO vectors_2 SELECT * FROM vectors_1")
    _sql(made, "UPDATE collection SET active_space_id = 2")
    assert _found(check(made.session, "default")) == {invariants.DIGEST}
    with made.session.db.connection() as connection:
        state = connection.execute("SELECT digest_state FROM collection").fetchone()[0]
    digest = release_digest(bytes(state), b"another")
    _sql(made, "UPDATE release SET space_id = 2, digest = %(digest)s WHERE number = 3", digest=digest)
    assert check(made.session, "default").problems == []
    _sql(made, "UPDATE release SET space_id = 2 WHERE number = 1")
    assert _found(check(made.session, "default")) == {invariants.HISTORY}


# --- elections -----------------------------------------------------------------------------

_OF = "(SELECT id FROM document WHERE uri = '{}')"
ELECTIONS = {
    "have none": f"UPDATE activation SET winner_id = NULL WHERE document_id = {_OF.format('doc0.txt')}",
    "have one that is not shown": f"UPDATE activation SET winner_id = {_OF.format('doc2.txt')} "
    f"WHERE document_id = {_OF.format('doc0.txt')}",
    "have one that is a duplicate itself": f"UPDATE activation SET winner_id = {_OF.format('doc0.txt')}, "
    f"rule = 'uri', similarity = 1 WHERE document_id = {_OF.format('doc3.txt')}",
    "of another collection": f"UPDATE activation SET winner_id = {_OF.format('elsewhere.txt')} "
    f"WHERE document_id = {_OF.format('doc0.txt')}",
}  # fmt: skip


@pytest.mark.parametrize("what", ELECTIONS)
def test_a_wrong_election_is_found_and_held_anew_after_a_repair(made, tmp_path, what):
    sound = list_clusters(made.session.db, get_collection(made.session.db, "default"), 3)
    assert [(c.winner, [m.uri for m in c.members]) for c in sound] == [("copy.txt", ["doc0.txt"])]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/elsewhere.txt").write_text("Another collection.")
    made.ingest(tmp_path / "elsewhere", "other")
    assert _sql(made, ELECTIONS[what]).rowcount == 1
    for quick in (True, False):
        report = check(made.session, "default", quick=quick)
        assert invariants.ELECTION in _found(report)
        assert any(what in problem.detail for problem in report.problems) or "collection" in what
    assert check(made.session, "other").problems == []
    report = check(made.session, "default", repair=True)
    assert invariants.ELECTION in _found(report), "nobody elects but an ingest"
    assert invariants.ELECTION in {repaired.invariant for repaired in report.repaired}
    assert made.plan().reelect
    assert made.ingest().release == 4
    assert _found(check(made.session, "default")) <= {invariants.HISTORY}
    collection = get_collection(made.session.db, "default")
    assert list_clusters(made.session.db, collection, 4) == sound


def test_a_release_that_elects_wrongly_is_noticed_at_its_end(made):
    collection = get_collection(made.session.db, "default")
    blobs = BlobStore(made.session.settings.home, made.session.db.tenant_id)

    def look():
        number = get_collection(made.session.db, "default").current_release
        return check_release(made.session.db, collection.id, number, collection.active_space_id, blobs)

    made.write("another.txt", english_text(20, seed=0))
    assert made.ingest().release == 4, "it wins by its name"
    assert look() == []
    _sql(made, ELECTIONS["have one that is not shown"] + " AND to_release IS NULL")
    assert [problem.invariant for problem in look()] == [invariants.ELECTION]
    made.write("apart.txt", "A release that has nothing to do with it.")
    made.ingest()
    assert look() == [], "the cost follows what a release touched"


# --- raw blobs -----------------------------------------------------------------------------


def test_a_lost_blob_is_found_and_fetched_again_by_the_ingest_after_a_repair(made):
    blob = _blob(made, "doc3.txt")
    content = blob.read_bytes()
    blob.unlink()
    for quick in (True, False):
        report = check(made.session, "default", quick=quick)
        assert _found(report) == {invariants.ACTIVE_BLOBS}
        assert blob.name in report.problems[0].detail
    assert made.ingest().state == "unchanged"
    assert not blob.exists(), "the file's stat is equal: nothing was fetched"
    report = check(made.session, "default", repair=True)
    assert _found(report) == {invariants.ACTIVE_BLOBS}
    assert [repaired.invariant for repaired in report.repaired] == [invariants.ACTIVE_BLOBS]
    before = made.embedder.embedded
    run = made.ingest()
    assert (run.release, run.parsed, made.embedder.embedded) == (None, 0, before)
    assert blob.read_bytes() == content
    assert check(made.session, "default").problems == []
    assert made.plan().is_empty


def test_a_damaged_blob_is_set_aside_and_fetched_again(made):
    blob = _blob(made, "doc0.txt")  # two documents have these bytes
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"?")  # of the same size: storing it again would not be noticed
    assert check(made.session, "default", quick=True).problems == []
    assert _found(check(made.session, "default")) == {invariants.BYTES}
    report = check(made.session, "default", repair=True)
    assert _found(report) == {invariants.ACTIVE_BLOBS}
    assert [r.invariant for r in report.repaired] == [invariants.BYTES, invariants.ACTIVE_BLOBS]
    assert blob.with_suffix(".damaged").exists()
    assert made.ingest().documents.unchanged == 5
    assert blob.read_bytes() == content
    assert check(made.session, "default").problems == []


def test_a_lost_blob_of_an_older_version_is_found_and_stays_lost(made):
    _blob(made, "doc1.txt", version=1).unlink()
    assert check(made.session, "default", quick=True).problems == []
    report = check(made.session, "default", repair=True)
    assert _found(report) == {invariants.BLOBS}
    assert report.repaired == []
    assert "backup" in report.problems[0].advice


def test_a_document_that_is_held_back_keeps_what_it_knows_of_its_file(made):
    _sql(
        made,
        "INSERT INTO hold (tenant_id, collection_id, document_id, release) "
        "SELECT tenant_id, collection_id, id, 3 FROM document WHERE uri = 'doc3.txt'",
    )
    _blob(made, "doc3.txt").unlink()
    report = check(made.session, "default", repair=True)
    assert report.repaired == []
    known = _sql(made, "SELECT size FROM document WHERE uri = 'doc3.txt'").fetchone()
    assert known[0] is not None


def test_orphans_are_facts_and_no_problems(made):
    store = BlobStore(made.session.settings.home, made.session.db.tenant_id)
    (store.root / "ab").mkdir(exist_ok=True)
    (store.root / "ab" / ("ab" * 32)).write_bytes(b"12345")
    (store.root / ".0123.part").write_bytes(b"half")
    (store.root / "ab" / ("ab" * 31 + "xx.damaged")).write_bytes(b"no blob")
    _sql(made, "DELETE FROM activation WHERE to_release = 2")
    _sql(made, "DELETE FROM version_chunk WHERE version_id = "
               "(SELECT id FROM document_version WHERE version = 1 AND document_id = "
               "(SELECT id FROM document WHERE uri = 'doc1.txt'))")  # fmt: skip
    _sql(made, "DELETE FROM document_version WHERE version = 1 AND document_id = "
               "(SELECT id FROM document WHERE uri = 'doc1.txt')")  # fmt: skip
    _sql(made, "UPDATE release SET missing = 1 WHERE number = 1")
    report = check(made.session, "default")
    assert report.problems == []
    assert report.orphans.chunks > 0
    assert report.orphans.blobs == 2
    assert report.orphans.bytes == 5 + len(english_text(20, seed=1).encode())


# --- the vector index ----------------------------------------------------------------------


def _fill_index(world, rows, options):
    """Many chunks, with vectors near a plane of 20 dimensions as texts have them, and an index."""
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((rows, 20)) @ rng.standard_normal((20, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with world.session.db.connection() as connection:
        connection.execute("RESET ROLE")
        connection.execute(
            "INSERT INTO chunk (tenant_id, collection_id, hash, kind, text, tokens, grams) "
            "SELECT 1, 1, hash, 'text', text, 1, '{}' FROM unnest(%s::bytea[], %s::text[]) AS c(hash, text)",
            [[chunk_hash(str(i), "text") for i in range(rows)], [str(i) for i in range(rows)]],
        )
        ids = [r for (r,) in connection.execute("SELECT id FROM chunk ORDER BY id DESC LIMIT %s", [rows])]
        with connection.cursor().copy("COPY vectors_1_1 FROM STDIN") as copy:
            for id_, vector in zip(ids, vectors, strict=True):
                copy.write_row((1, 1, id_, "[" + ",".join(f"{x:.6g}" for x in vector) + "]"))
        connection.execute("INSERT INTO visible SELECT 1, 1, id, 1 FROM chunk ON CONFLICT DO NOTHING")
        connection.execute("UPDATE release SET chunks = (SELECT count(*) FROM visible)")
        connection.execute(
            "CREATE INDEX vectors_1_1_hnsw_idx ON vectors_1_1 USING hnsw (embedding vector_cosine_ops) "
            + options
        )
        connection.execute("ANALYZE")
        connection.execute("SET ROLE revector_app")


@pytest.mark.parametrize(("options", "is_good"), [("", True), ("WITH (m = 2, ef_construction = 4)", False)])
def test_the_index_is_measured_against_an_exact_scan(made, options, is_good):
    _fill_index(made, 6000, options)
    report = check(made.session, "default")
    assert report.hnsw_recall is not None
    assert (report.hnsw_recall >= 0.9) == is_good
    assert (invariants.RECALL in _found(report)) != is_good


def test_recall_counts_equally_near_hits():
    exact = [[(1, 1.0), (2, 0.8)], [(3, 0.5)]]
    assert recall_at(exact, exact) == 1.0
    assert recall_at([[(1, 1.0), (9, 0.8)], [(3, 0.5)]], exact) == 1.0
    assert recall_at([[(1, 1.0), (9, 0.7)], []], exact) == pytest.approx(1 / 3)
    assert recall_at([[]], [[]]) is None


# --- beside a run ----------------------------------------------------------------------------


def test_what_a_run_has_staged_is_no_problem_and_survives_a_repair(made):
    """In the middle of a run, with something to repair."""
    made.write("late.txt", "A heron came late.")
    reports = []

    def check_then_activate(workspace):
        reports.append(check(made.session, "default"))
        _sql(made, "UPDATE visible SET refs = refs + 1 WHERE chunk_id = 1")
        reports.append(check(made.session, "default", repair=True))
        return activate(workspace)

    with plain_steps() as steps:
        run = ingest_location(
            made.session, replace(steps, activate=check_then_activate), str(made.folder), "default"
        )
    assert [report.problems for report in reports] == [[], []]
    assert [repaired.invariant for repaired in reports[1].repaired] == [invariants.REFS]
    assert (run.release, run.documents.added) == (4, 1)
    assert check(made.session, "default").problems == []


def test_a_run_that_died_is_marked_by_a_repair(made):
    _sql(made, "UPDATE run SET state = 'running' WHERE id = (SELECT run_id FROM release WHERE number = 3)")
    _sql(
        made,
        "INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action) "
        "SELECT tenant_id, collection_id, run_id, 1, 'deleted' FROM release WHERE number = 3",
    )
    assert check(made.session, "default").problems == [], "it may be alive on another machine"
    _sql(made, "UPDATE visible SET refs = refs + 1 WHERE chunk_id = 1")
    assert check(made.session, "default", repair=True).problems == []
    assert _rows(made)["staged_change"] == []


# --- whose collection ----------------------------------------------------------------------


def test_another_tenants_collection_is_not_found_and_not_counted(made, database_url, tmp_path):
    (tmp_path / "other").mkdir()
    with World.open(tmp_path / "other", database_url, tenant="other") as other:
        with pytest.raises(CollectionNotFound):
            check(other.session, "default")
        with pytest.raises(CollectionNotFound):
            check(other.session, "default", repair=True)
        other.write("a.txt", "A document of another tenant.")
        other.ingest()
        report = check(other.session, "default")
        assert report.problems == []
        assert (report.checked["versions"], report.checked["vectors"], report.checked["blobs"]) == (1, 1, 1)
        _sql(made, "UPDATE visible SET refs = 9 WHERE tenant_id = 1")
        assert check(other.session, "default", repair=True).repaired == []
    assert _found(check(made.session, "default")) == {invariants.REFS}


def test_a_collection_that_was_never_activated_is_sound(made):
    from registry.collections import ensure_collection

    ensure_collection(made.session.db, "empty")
    for options in ({}, {"quick": True}, {"repair": True}):
        report = check(made.session, "empty", **options)
        assert (report.problems, report.release) == ([], 0)


def test_the_quick_check_can_leave_out_the_files(made):
    _blob(made, "doc3.txt").unlink()
    collection = get_collection(made.session.db, "default")
    assert check_collection(made.session.db, collection.id) == []


def test_every_invariant_has_advice():
    assert set(invariants.ADVICE) == set(invariants.FULL)
    assert len(set(invariants.FULL)) == len(invariants.FULL)
