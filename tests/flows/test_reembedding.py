"""A change of the embedding model: beside what serves, in one transaction, and back."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from flows.comparing import compare
from flows.estimating import foresee_reembed
from flows.purging import purge_collection
from flows.reembedding import reembed_collection
from flows.rollback import LAST, preview_rollback, rollback_collection
from flows.searching import search_text
from registry.collections import get_collection, get_space
from registry.purge import list_spaces
from registry.reembedding import count_unembedded, find_unembedded
from schemas.errors import ConfigurationError, EndpointUnavailable, GateFailed, SpaceMismatch
from tasks.embedding.card import DEFAULT_TEXT_MODEL
from tests.model_folders import make_model_folder
from tests.texts import english_sentence

TEXTS = {
    "storks.txt": "Storks nest on chimneys and leave for the south in August.",
    "lease.txt": "The lease ends in June; the deposit is paid back within thirty days.",
    "휴가.txt": "연차 휴가는 입사 일 년 뒤부터 열다섯 날이 주어진다.",
}


@pytest.fixture
def indexed(world, tmp_path):
    """Three documents, and a second model that the settings name as the next one."""
    for name, text in TEXTS.items():
        world.write(name, text)
    world.ingest()
    model = make_model_folder(tmp_path / "better", dim=96)
    world.next = {"next": {"model": str(model)}}
    world.configure(**world.next)
    return world


def _space(world):
    collection = get_collection(world.session.db, "default")
    return get_space(world.session.db, collection.active_space_id)


def _found(world, text="when do storks leave", **options):
    return [hit.uri for hit in search_text(world.session, text, "default", k=1, mode="vector", **options)]


def test_a_collection_is_switched_and_shows_the_same_by_another_model(indexed):
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.release, report.chunks, report.embedded) == ("succeeded", 2, 3, 3)
    assert (_space(indexed).model, _space(indexed).dim) == ("better", 96)
    assert _found(indexed) == ["storks.txt"]
    assert indexed.models.others["better"].embedded == 3
    assert indexed.embedder.embedded == 3, "the old model embeds nothing but queries"
    release = indexed.releases()[0]
    assert (release.kind, release.documents, release.chunks) == ("reembed", 3, 3)
    assert release.digest != indexed.releases()[1].digest, "a release says what its vectors are of"


def test_a_search_is_answered_though_the_model_is_switched_again_and_again_meanwhile(indexed):
    reembed_collection(indexed.session, "default")
    switches = iter(range(6))

    def load(card, settings):
        if next(switches, None) is not None:
            rollback_collection(indexed.session, "default", LAST)
        return indexed.models.load(card, settings)

    hits = search_text(replace(indexed.session, load_embedder=load), "when do storks leave", "default", k=1)
    assert [hit.uri for hit in hits] == ["storks.txt"]
    assert next(switches, None) is None


def test_a_second_call_finds_nothing_to_do(indexed):
    reembed_collection(indexed.session, "default")
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.release) == ("unchanged", None)
    assert len(indexed.releases()) == 2


def test_runs_go_on_with_the_old_model_until_the_switch_and_with_the_new_one_after_it(indexed):
    indexed.write("new.txt", "A heron stands in the reeds.")
    assert indexed.ingest().chunks.embedded == 1
    assert (indexed.embedder.embedded, indexed.models.others) == (4, {})
    reembed_collection(indexed.session, "default")
    indexed.write("more.txt", "A crane dances in the meadow.")
    report = indexed.ingest()
    assert (report.documents.added, report.documents.unchanged, report.chunks.embedded) == (1, 4, 1)
    assert indexed.models.others["better"].embedded == 5
    assert indexed.embedder.embedded == 4


def test_a_rollback_switches_back_and_forth_and_embeds_nothing(indexed):
    reembed_collection(indexed.session, "default")
    embedded = indexed.embedder.embedded, indexed.models.others["better"].embedded
    rollback_collection(indexed.session, "default", "last")
    assert _space(indexed).model == "all-MiniLM-L6-v2"
    assert _found(indexed) == ["storks.txt"]
    back, _, first = indexed.releases()
    assert back.digest == first.digest
    assert back.note == "to release 1, by all-MiniLM-L6-v2"
    rollback_collection(indexed.session, "default", "2")
    assert _space(indexed).model == "better"
    assert (indexed.embedder.embedded, indexed.models.others["better"].embedded) == embedded
    assert indexed.ingest().documents.unchanged == 3


def test_a_comparison_names_the_models(indexed):
    reembed_collection(indexed.session, "default")
    found = compare(indexed.session, "default", "1", "2")
    assert found.documents == ()
    old, new = found.models
    assert (old.split(" (")[0], new.split(" (")[0]) == ("all-MiniLM-L6-v2", "better")
    assert preview_rollback(indexed.session, "default", "1").models == (new, old)
    assert compare(indexed.session, "default", "0", "2").models is None
    assert compare(indexed.session, "default", "2", "2").models is None


def test_an_earlier_release_is_searched_with_its_own_model(indexed):
    reembed_collection(indexed.session, "default")
    assert _found(indexed, as_of="1") == ["storks.txt"]
    indexed.configure(model=indexed.next["next"]["model"])
    with pytest.raises(SpaceMismatch, match=r"Release 1 holds vectors of all-MiniLM-L6-v2"):
        _found(indexed, as_of="1")


def test_what_was_embedded_before_a_kill_is_not_embedded_again(indexed):
    class Killed(BaseException):
        pass

    def die(stage, done, total):
        if stage == "switch":
            raise Killed

    with pytest.raises(Killed):
        reembed_collection(indexed.session, "default", progress=die)
    assert _space(indexed).model == "all-MiniLM-L6-v2"
    assert _found(indexed) == ["storks.txt"]
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 3, 0)


def test_a_release_that_lands_meanwhile_is_caught_up_with(indexed):
    def land(stage, done, total):
        if (stage, done) == ("switch", 0):
            indexed.write("late.txt", "An owl hoots at night.")
            assert indexed.ingest().release == 2

    report = reembed_collection(indexed.session, "default", progress=land)
    assert (report.release, report.embedded) == (3, 4)
    assert _found(indexed, "owl hoots at night") == ["late.txt"]


def test_a_run_that_began_before_the_switch_embeds_with_the_new_model_after_it(indexed):
    indexed.write("late.txt", "An owl hoots at night.")

    def switched(step):
        def check(workspace):
            reembed_collection(indexed.session, "default")
            return step(workspace)

        return check

    report = indexed.ingest_with(check_gate=switched)
    assert (report.state, report.release) == ("succeeded", 3)
    assert _found(indexed, "owl hoots at night") == ["late.txt"]
    assert indexed.models.others["better"].embedded == 4


def test_the_same_vectors_stored_another_way_need_no_model(world):
    world.write("storks.txt", TEXTS["storks.txt"])
    world.ingest()
    world.configure(next={"vectors": {"dtype": "halfvec"}})
    report = reembed_collection(world.session, "default")
    assert (report.state, report.converted, report.embedded) == ("succeeded", 1, 0)
    assert _space(world).dtype == "halfvec"
    assert _found(world) == ["storks.txt"]


def _stored(world):
    """Text -> its vector in the active space, as it is stored."""
    space_id = get_collection(world.session.db, "default").active_space_id
    query = f"SELECT c.text, v.embedding::text FROM chunk c JOIN vectors_{space_id} v ON v.chunk_id = c.id"
    with world.session.db.transaction() as connection:
        return dict(connection.execute(query).fetchall())


@pytest.mark.parametrize(
    ("before", "after", "converted"),
    [
        ("vector", "halfvec", 3), ("vector", "bit", 3), ("halfvec", "bit", 3), ("bit", "halfvec", 3),
        ("halfvec", "vector", 0), ("bit", "vector", 0),
    ],
)  # fmt: skip
def test_a_changed_storage_holds_what_embedding_into_it_gives(world, before, after, converted):
    for name, text in TEXTS.items():
        world.write(name, text)
    world.configure(vectors={"dtype": before})
    world.ingest()
    world.configure(vectors={"dtype": before}, next={"vectors": {"dtype": after}})
    plan = foresee_reembed(world.session, "default")
    assert (plan.converted, plan.estimate.texts) == (converted, 3 - converted)
    report = reembed_collection(world.session, "default")
    assert (report.state, report.converted, report.embedded) == ("succeeded", converted, 3 - converted)
    numbers = np.float32 if after == "vector" else np.float16
    stored = _stored(world)
    assert len(stored) == 3
    for text, vector in stored.items():
        given = world.embedder.embed([text])[0].astype(numbers)
        assert np.array_equal(np.array(json.loads(vector), dtype=numbers), given)


def test_a_model_that_is_on_both_sides_of_a_change_is_loaded_once(world):
    world.write("storks.txt", TEXTS["storks.txt"])
    world.configure(vectors={"dtype": "halfvec"})
    world.ingest()
    world.configure(vectors={"dtype": "halfvec"}, next={"vectors": {"dtype": "vector"}})
    loads = []

    def load(card, settings):
        loads.append(card.name)
        return world.models.load(card, settings)

    world.session = replace(world.session, load_embedder=load)
    report = reembed_collection(world.session, "default")
    assert report.comparison is not None
    assert loads == [DEFAULT_TEXT_MODEL]


def test_canaries_that_are_lost_leave_everything_as_it_was(indexed, tmp_path):
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "storks"\ndocument = "nowhere.txt"\n')
    indexed.configure(**indexed.next, gate={"canaries": canaries})
    with pytest.raises(GateFailed, match=r"nowhere\.txt"):
        reembed_collection(indexed.session, "default")
    assert (_space(indexed).model, len(indexed.releases())) == ("all-MiniLM-L6-v2", 1)
    indexed.configure(**indexed.next)
    assert reembed_collection(indexed.session, "default").embedded == 0


def test_spaces_that_find_too_little_in_common_are_not_switched(indexed):
    for number in range(30):
        indexed.write(f"{number}.txt", f"Page {number} of a book about birds: {'wing ' * number}")
    indexed.ingest()
    indexed.configure(**indexed.next, reembed={"min_overlap": 1.0, "queries": 3})
    indexed.models.others["better"] = _Blind(indexed.embedder)
    with pytest.raises(GateFailed, match="min_overlap"):
        reembed_collection(indexed.session, "default")
    assert [release.kind for release in indexed.releases()] == ["ingest", "ingest"]


class _Blind:
    """A model to which all texts are the same but for the last one it saw."""

    name, revision, dim = "better", "x", 96

    def __init__(self, like):
        self._like = like

    def embed(self, texts, *, progress=None):
        import numpy as np

        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        vectors[:, 0] = 1
        if progress:
            progress(len(texts))
        return vectors

    def embed_query(self, text):
        return self.embed([text])[0]


def test_without_a_next_model_it_says_what_to_write(world):
    world.write("a.txt", "A stork.")
    world.ingest()
    with pytest.raises(ConfigurationError, match=r"\[collections\.default\.next\]"):
        reembed_collection(world.session, "default")


def test_what_a_space_lacks_is_counted_and_named(indexed):
    db = indexed.session.db
    collection = get_collection(db, "default")
    reembed_collection(indexed.session, "default")
    old, new = list_spaces(db, collection.id)
    assert (old.id, new.id) == (collection.active_space_id, get_collection(db, "default").active_space_id)
    indexed.write("new.txt", "A heron.")
    indexed.ingest()
    assert count_unembedded(db, collection.id, old.id) == (4, 1)
    assert len(find_unembedded(db, collection.id, old.id, most=9)) == 1
    rollback_collection(indexed.session, "default", "1")
    assert _space(indexed).model == "all-MiniLM-L6-v2"


@pytest.mark.parametrize("seed", [1, 2])
def test_edits_changes_and_rollbacks_in_any_order_show_what_they_should_by_the_right_model(
    world, tmp_path, seed
):
    rng, files, shown = random.Random(seed), {}, {}
    better = str(make_model_folder(tmp_path / "better", dim=96))
    for step in range(24):
        action = rng.choice(["edit", "change", "rollback", "undo"]) if len(shown) > 1 else "edit"
        latest = max(shown, default=0)
        if action == "edit":
            _edit(rng, world, files, step)
            world.ingest(allow_deletions=True, reapply=True)
            expected = dict(files), _space(world).model
        elif action == "change":
            expected = shown[latest][0], _change(world, better)
        else:
            number = latest - 1 if action == "undo" else rng.choice(sorted(shown))
            rollback_collection(world.session, "default", LAST if action == "undo" else str(number))
            expected = shown[number][:2]
            assert world.releases()[0].digest == shown[number][2], (step, action)
        release = world.releases()[0]
        shown[release.number] = (*expected, release.digest)
        assert (_space(world).model, world.problems()) == (expected[1], []), (step, action)
        for uri, text in expected[0].items():
            assert _found(world, text) == [uri], (step, action)
    assert {model for _, model, _ in shown.values()} == {"all-MiniLM-L6-v2", "better"}


def _edit(rng, world, files, step):
    """Three files are written or deleted."""
    for uri in rng.sample(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"], 3):
        if uri in files and len(files) > 2 and rng.random() < 0.4:
            (world.folder / uri).unlink()
            del files[uri]
        else:
            files[uri] = f"{step} {uri} {english_sentence(rng)}"
            world.write(uri, files[uri])


def _change(world, better):
    """To the other one of both models; its name."""
    is_better = _space(world).model == "better"
    both = (
        {"model": better, "next": {"model": DEFAULT_TEXT_MODEL}} if is_better else {"next": {"model": better}}
    )
    world.configure(**both)
    assert reembed_collection(world.session, "default").state == "succeeded"
    return DEFAULT_TEXT_MODEL if is_better else "better"


def test_an_old_model_that_does_not_answer_any_more_is_left_behind(indexed, monkeypatch):
    def fail(text):
        raise EndpointUnavailable("The endpoint does not answer.")

    monkeypatch.setattr(indexed.embedder, "embed_query", fail)
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.comparison) == ("succeeded", None)


def test_a_purge_after_one_that_took_long_takes_nothing_of_it(indexed, tmp_path):
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "storks"\ndocument = "nowhere.txt"\n')
    indexed.configure(**indexed.next, gate={"canaries": canaries})

    def age(stage, done, total):
        if stage == "embed":
            with indexed.session.db.connection() as connection:
                connection.execute("UPDATE collection_space SET used_at = now() - interval '30 days'")

    with pytest.raises(GateFailed):
        reembed_collection(indexed.session, "default", progress=age)
    indexed.configure(**indexed.next)
    purge_collection(indexed.session, "default")
    assert reembed_collection(indexed.session, "default").embedded == 0


def test_a_rollback_to_a_model_that_is_not_configured_any_more_is_refused(indexed):
    reembed_collection(indexed.session, "default")
    indexed.configure(model=indexed.next["next"]["model"])
    with pytest.raises(SpaceMismatch, match="Release 1 holds vectors of all-MiniLM-L6-v2"):
        rollback_collection(indexed.session, "default", "last")
    assert _space(indexed).model == "better"


def test_another_index_is_named_where_the_model_is_the_same(indexed):
    indexed.configure(vectors={"m": 8})
    with pytest.raises(SpaceMismatch, match=r"m 16.* but .*m 8"):
        indexed.ingest()


def test_what_next_leaves_out_stays(indexed):
    indexed.configure(vectors={"m": 32, "ef_construction": 128}, next={"vectors": {"dtype": "halfvec"}})
    chosen = indexed.session.settings.collection("default").next_vectors
    assert (chosen.dtype, chosen.m, chosen.ef_construction) == ("halfvec", 32, 128)
