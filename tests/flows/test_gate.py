"""The quality gate: what is not fit is not shown, can be looked at, forced or dropped."""

from __future__ import annotations

import re
from dataclasses import replace
from unicodedata import normalize
from uuid import UUID

import numpy as np
import psycopg
import pytest

from flows.comparing import compare
from flows.inspecting import collection_status
from flows.staged import activate_staged, discard_staged
from schemas.errors import ConfigurationError, EmbeddingFailed, GateFailed, RunNotStaged
from schemas.gate import StagedFacts
from schemas.settings import GateSettings
from tasks.gate import judge, load_canaries
from tests.texts import english_text
from tests.world import World

SOUND = StagedFacts(3, 20, 20, 0, 0, 20, 100, 100, 0, 20, 0, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bad_vectors": 1}, "1 vectors are zero"),
        ({"empty": 11}, r"11 of 20 documents hold fewer than 20 characters \(gate.max_empty_share = 0.5"),
        ({"rejected": 21}, "21 of 41 documents were rejected"),
        ({"chunks_after": 49}, "20 changed documents have 49 chunks instead of 100"),
    ],
)
def test_each_limit_holds_a_release_back(changes, says):
    (failure,) = judge(replace(SOUND, **changes), GateSettings())
    assert re.search(says, failure)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"empty": 10},
        {"rejected": 20},
        {"chunks_after": 50},
        {"current_release": 0, "empty": 20, "rejected": 90},
        {"staged": 0, "documents": 0, "changed": 0, "rejected": 12},
        {"documents": 5, "empty": 5, "rejected": 4, "changed": 5, "chunks_after": 0},
    ],
)
def test_what_keeps_the_limits_passes(changes):
    assert judge(replace(SOUND, **changes), GateSettings()) == []


@pytest.fixture
def gated(database_url, tmp_path):
    """A world whose canary asks for herons; release 1 finds it."""
    canary = '[[canary]]\nquery = "heron lake"\ndocument = "birds.txt"\nk = 1\n'
    (tmp_path / "canaries.toml").write_text(canary)
    gate = {"canaries": tmp_path / "canaries.toml"}
    with World.open(tmp_path, database_url, collections={"default": {"gate": gate}}) as world:
        world.write("birds.txt", "The heron lives at the lake.")
        world.write("other.txt", "A lake lies in the valley.")
        world.ingest()
        yield world
        assert world.problems() == []


def _fail(world):
    """A bad run: the birds are gone from birds.txt. Returns the run's id."""
    world.write("birds.txt", "Nothing about water fowl any more.")
    says = r"0 of 1 canary queries.*'heron lake' does not find birds.txt"
    with pytest.raises(GateFailed, match=says) as info:
        world.ingest()
    return UUID(info.value.facts["run_id"])


def test_a_failed_canary_leaves_the_previous_release_serving(gated):
    run = _fail(gated)
    assert gated.keyword("heron")[0].text == "The heron lives at the lake."
    assert len(gated.releases()) == 1
    diff = compare(gated.session, "default", str(run))
    assert [(d.status, d.uri) for d in diff.documents] == [("changed", "birds.txt")]


def test_a_staged_run_can_be_shown_all_the_same(gated):
    paid = gated.embedder.embedded
    run = _fail(gated)
    paid_for_it = gated.embedder.embedded
    report = activate_staged(gated.session, "default", run)
    assert (report.state, report.release, report.documents.changed) == ("succeeded", 2, 1)
    assert gated.keyword("fowl")[0].uri == "birds.txt"
    assert gated.embedder.embedded == paid_for_it > paid
    assert gated.releases()[0].run_id == str(run)
    with pytest.raises(RunNotStaged, match="is succeeded, not staged"):
        activate_staged(gated.session, "default", run)
    assert gated.ingest().state == "unchanged"


def test_a_staged_run_that_is_shown_cannot_be_dropped_though_its_process_died(gated, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    run = _fail(gated)
    with monkeypatch.context() as patch:
        patch.setattr("flows.staged.check_release", die)
        with pytest.raises(KeyboardInterrupt):
            activate_staged(gated.session, "default", run)
    assert gated.releases()[0].run_id == str(run)
    with pytest.raises(RunNotStaged, match="is succeeded, not staged"):
        discard_staged(gated.session, "default", run)


def test_a_staged_run_that_leaves_an_unsound_release_says_so(gated):
    run = _fail(gated)
    blobs = gated.session.settings.home.glob("blobs/1/*/*")
    (blob,) = [path for path in blobs if b"Nothing about water" in path.read_bytes()]
    content = blob.read_bytes()
    blob.unlink()
    (problem,) = activate_staged(gated.session, "default", run).problems
    assert problem.invariant == "active versions have their raw blob"
    blob.write_bytes(content)


def test_a_staged_run_can_be_dropped(gated):
    run = _fail(gated)
    discard_staged(gated.session, "default", run)
    with pytest.raises(RunNotStaged, match="is stopped, not staged"):
        activate_staged(gated.session, "default", run)
    gated.write("birds.txt", "The heron lives at the lake, still.")
    assert gated.ingest().release == 2


def test_a_staged_run_that_is_activated_late_does_not_undo_what_came_after(gated):
    run = _fail(gated)
    gated.write("birds.txt", "The heron lives at the lake, and eats frogs.")
    gated.ingest()
    report = activate_staged(gated.session, "default", run)
    assert (report.state, report.conflicts) == ("unchanged", 1)
    assert gated.keyword("heron")[0].text.endswith("frogs.")


def test_a_canary_of_a_first_release_holds_it_back_too(database_url, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "heron"\ndocument = "birds.txt"\n')
    gate = {"canaries": tmp_path / "canaries.toml"}
    with World.open(tmp_path, database_url, collections={"default": {"gate": gate}}) as world:
        world.write("other.txt", "Ships sail across the sea.")
        with pytest.raises(GateFailed) as info:
            world.ingest()
        assert world.keyword("ships") == []
        assert activate_staged(world.session, "default", UUID(info.value.facts["run_id"])).release == 1
        assert world.keyword("ships")[0].uri == "other.txt"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("", "holds no canary"),
        ("[[canary]]\nquery = 1\ndocument = 'a'", "not valid"),
        ("[[canary]]\nquery = ' '\ndocument = 'a'", "not valid"),
        ("[[canary]]\nquery = 'a'", "not valid.*document"),
        ("[[canary]]\nquery = 'a'\ndocument = 'b'\nk = 0", "not valid"),
        ("[[canary]]\nquery = 'a'\ndocument = 'b'\nother = 0", "not valid.*other"),
        ("canary = 3", "not valid"),
        ("[[[", "not valid"),
    ],
)
def test_a_wrong_canary_file_stops_the_run_before_it_starts(tmp_path, text, says):
    path = tmp_path / "canaries.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        load_canaries(path)


def test_documents_that_suddenly_lose_their_text_are_not_shown(world):
    for number in range(12):
        world.write(f"{number}.txt", english_text(60, seed=number))
    world.ingest()
    for number in range(12):
        world.write(f"{number}.txt", f"short {number}")
    with pytest.raises(GateFailed, match="12 of 12 documents hold fewer") as info:
        world.ingest()
    assert len(info.value.facts["failures"]) == 2
    assert world.releases()[0].number == 1


def test_vectors_that_are_not_finite_are_never_stored(world, monkeypatch):
    world.write("a.txt", "A document.")
    monkeypatch.setattr(
        world.embedder, "embed", lambda texts, **_: np.full((len(texts), 384), np.nan, np.float32)
    )
    with pytest.raises(EmbeddingFailed, match="1 of 1 vectors"):
        world.ingest()
    for value in (np.nan, np.inf, 0):
        bad = np.full((1, 384), value, np.float32)
        monkeypatch.setattr(world.embedder, "embed", lambda texts, bad=bad, **_: bad)
        with pytest.raises(EmbeddingFailed, match="1 of 1 vectors"):
            world.ingest()


def test_a_zero_vector_in_the_database_holds_the_release_back(database_url, tmp_path):
    settings = {"default": {"duplicates": {"policy": "off"}}}  # two documents show the chunk
    with World.open(tmp_path, database_url, collections=settings) as world:
        world.write("a.txt", "A document about rivers.")
        world.ingest()
        world.write("b.txt", "A document about rivers.")
        with psycopg.connect(world.session.db.url) as connection:
            connection.execute("SET search_path = revector, public")
            connection.execute("UPDATE vectors_1 SET embedding = array_fill(0, ARRAY[384])::vector")
        with pytest.raises(GateFailed, match="1 vectors are zero"):
            world.ingest()


def test_a_canary_names_its_document_in_any_unicode_form(tmp_path):
    path = tmp_path / "canaries.toml"
    name = normalize("NFD", "두루미.txt")
    path.write_text(f'[[canary]]\nquery = "heron"\ndocument = "{name}"\n', encoding="utf-8")
    assert load_canaries(path)[0].document == "두루미.txt"


def test_a_newer_staged_run_replaces_the_older(gated):
    first = _fail(gated)
    second = _fail(gated)
    with pytest.raises(RunNotStaged, match="is stopped, not staged"):
        activate_staged(gated.session, "default", first)
    assert collection_status(gated.session, "default")["staged_runs"] == [str(second)]
    with gated.session.db.connection() as connection:
        assert connection.execute("SELECT count(DISTINCT run_id) FROM staged_change").fetchone() == (1,)


def test_a_canary_whose_document_another_one_stands_for_is_found(gated):
    """A longer copy hides birds.txt: its hit names it."""
    birds = " ".join(
        f"The heron number {word} lives at the lake." for word in "one two three four five six".split()
    )
    gated.write("birds.txt", birds)
    gated.write("copy of birds.txt", f"{birds} Printed for the archive.")
    report = gated.ingest()
    assert (report.state, report.documents.duplicate) == ("succeeded", 1)
    hit = gated.keyword("heron lake", k=1)[0]
    assert (hit.uri, hit.duplicates) == ("copy of birds.txt", ("birds.txt",))
