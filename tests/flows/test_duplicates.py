"""Near-duplicates through whole runs: who is shown, what is paid for, and how it comes back."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest

from benchmarks.near_duplicates import FAMILIES, LANGUAGES
from flows.forgetting import forget
from flows.pipeline import ingest_location
from flows.rollback import rollback_collection
from flows.staged import activate_staged
from registry.collections import get_collection
from registry.election import list_clusters
from registry.rollback import DocumentTarget
from registry.search import search_collection
from schemas.errors import ForgetIncomplete, GateFailed, ModelNotAvailable
from tasks.batch import plain_steps
from tests.world import World

_WORDS = (
    "amber basin candle drift ember fable garden hollow island jacket kettle lantern meadow needle "
    "orchard pebble quarry ribbon saddle timber umbrella valley willow anchor bridge copper dragon "
    "engine forest glacier harbor insect jungle kitchen ladder mirror novel ocean palace quilt river "
    "silver temple velvet window yellow"
).split()
FOOTER = "Printed from the archive for internal use only."


def prose(seed, sentences=30):
    rng = random.Random(seed)
    return " ".join(f"{' '.join(rng.choices(_WORDS, k=12)).capitalize()}." for _ in range(sentences))


@pytest.fixture
def world(database_url, tmp_path):
    with World.open(tmp_path, database_url) as made:
        yield made
        assert made.problems() == []


def _clusters(world, release=None):
    collection = get_collection(world.session.db, "default")
    found = list_clusters(world.session.db, collection, release or collection.current_release)
    return {cluster.winner: [member.uri for member in cluster.members] for cluster in found}


def _shown(world, release=None):
    collection = get_collection(world.session.db, "default")
    hits = search_collection(world.session.db, collection, k=1000, text=" ".join(_WORDS), release=release)
    return {hit.uri for hit in hits}


def _draft(text, title="A title"):
    return f"---\ntitle: {title}\ndraft: true\n---\n\n{text}\n"


def test_nothing_of_a_duplicate_is_embedded_and_the_winner_names_it(world):
    text = prose(1)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")  # longer
    world.write("c.txt", prose(2))
    report = world.ingest()
    assert (report.documents.added, report.documents.duplicate, report.hidden) == (3, 1, 1)
    assert report.chunks.embedded == report.chunks.total == world.embedder.embedded
    assert _clusters(world) == {"b.txt": ["a.txt"]}
    assert _shown(world) == {"b.txt", "c.txt"}
    assert world.ingest().state == "unchanged"


def test_a_better_copy_that_comes_later_takes_over_and_what_was_paid_stays(world):
    text = prose(1)
    world.write("a.txt", text)
    first = world.ingest()
    paid = world.embedder.embedded
    world.write("b.txt", f"{text} {FOOTER}")
    report = world.ingest()
    assert (report.documents.added, report.documents.duplicate, report.hidden) == (1, 0, 1)
    assert _clusters(world) == {"b.txt": ["a.txt"]}
    assert _clusters(world, first.release) == {}
    assert _shown(world) == {"b.txt"}
    assert _shown(world, first.release) == {"a.txt"}
    (world.folder / "b.txt").unlink()
    now = world.embedder.embedded
    report = world.ingest(allow_deletions=True)
    assert (report.restored, report.digest) == (1, first.digest)
    assert _shown(world) == {"a.txt"}
    assert world.embedder.embedded == now > paid  # a.txt was embedded once


def test_a_duplicate_that_was_never_embedded_is_embedded_when_its_winner_goes(world):
    text = prose(1)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")
    world.ingest()
    paid = world.embedder.embedded
    (world.folder / "b.txt").unlink()
    report = world.ingest(allow_deletions=True)
    assert (report.documents.deleted, report.restored) == (1, 1)
    assert world.embedder.embedded - paid == report.chunks.embedded > 0
    assert _shown(world) == {"a.txt"}


def test_rollback_restores_the_earlier_election_and_embeds_nothing(world):
    text = prose(1)
    world.write("a.txt", text)
    digests = [world.ingest().digest]
    world.write("b.txt", f"{text} {FOOTER}")
    digests.append(world.ingest().digest)
    world.write("a.txt", prose(5))
    digests.append(world.ingest().digest)
    assert _clusters(world) == {}
    paid = world.embedder.embedded
    for to, clusters, shown in (
        (2, {"b.txt": ["a.txt"]}, {"b.txt"}),
        (1, {}, {"a.txt"}),
        (3, {}, {"a.txt", "b.txt"}),
    ):
        report = rollback_collection(world.session, "default", str(to))
        assert report.digest == digests[to - 1]
        assert (_clusters(world), _shown(world)) == (clusters, shown)
    assert world.embedder.embedded == paid


def test_the_election_does_not_undo_a_rollback(world):
    text = prose(1)
    world.write("a.txt", text)
    world.ingest()
    world.write("b.txt", f"{text} {FOOTER}")
    world.ingest()
    rollback_collection(world.session, "default", "1")
    report = world.ingest()
    assert (report.state, report.held) == ("unchanged", 1)
    assert _shown(world) == {"a.txt"}


def test_rolling_back_a_winner_alone_brings_its_duplicate_into_view(world):
    text = prose(1)
    world.write("b.txt", prose(7))
    world.ingest()
    world.write("b.txt", f"{text} {FOOTER}")
    world.write("a.txt", text)
    world.ingest()
    assert _shown(world) == {"b.txt"}
    paid = world.embedder.embedded
    report = rollback_collection(world.session, "default", DocumentTarget("b.txt", 1))
    assert (report.documents.changed, report.restored) == (1, 1)
    assert _shown(world) == {"a.txt", "b.txt"}
    assert world.embedder.embedded > paid  # a.txt was never shown
    back = rollback_collection(world.session, "default", DocumentTarget("b.txt", 2))
    assert (back.hidden, _shown(world)) == (1, {"b.txt"})


def test_a_forgotten_winner_leaves_its_duplicates_to_the_next_best(world):
    text = prose(1)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")
    world.write("c.txt", f"{text} {FOOTER} {prose(3, 1)}")
    world.ingest()
    assert _clusters(world) == {"c.txt": ["b.txt", "a.txt"]}
    (world.folder / "c.txt").unlink()
    forget(world.session, "c.txt", "default")
    assert _clusters(world) == {"b.txt": ["a.txt"]}
    assert _shown(world) == {"b.txt"}
    assert world.ingest().state == "unchanged"


def test_a_draft_loses_to_what_is_published_and_the_newer_to_none(world):
    text = prose(1)
    world.write("a.md", _draft(f"{text} {FOOTER}"))
    world.write("2024-01-05 b.md", f"---\ntitle: A title\n---\n\n{text}\n")
    world.write("2024-03-05 c.md", f"---\ntitle: A title\n---\n\n{text}\n")
    world.ingest()
    collection = get_collection(world.session.db, "default")
    (cluster,) = list_clusters(world.session.db, collection, collection.current_release)
    assert cluster.winner == "2024-03-05 c.md"
    reasons = {member.uri: member.reason.split(":")[0] for member in cluster.members}
    assert reasons == {"a.md": "published", "2024-01-05 b.md": "date"}


def test_a_change_of_metadata_alone_elects_anew(world):
    text = prose(1)
    world.write("a.md", f"{text}\n")
    world.write("b.md", f"{text}\n")
    world.ingest()
    assert _clusters(world) == {"a.md": ["b.md"]}
    world.write("b.md", f"---\ndate: 2024-05-01\n---\n\n{text}\n")
    report = world.ingest()
    assert (report.documents.changed, report.chunks.embedded, report.hidden, report.restored) == (1, 0, 1, 1)
    assert _clusters(world) == {"b.md": ["a.md"]}


def test_a_moved_winner_stays_the_winner(world):
    text = prose(1)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")
    world.ingest()
    (world.folder / "b.txt").rename(world.folder / "z.txt")
    report = world.ingest()
    assert (report.documents.moved, report.chunks.embedded) == (1, 0)
    assert _clusters(world) == {"z.txt": ["a.txt"]}


def test_of_a_chain_nobody_is_hidden_by_what_it_does_not_resemble(world):
    parts = prose(1, 60).split(". ")
    world.write("a.txt", ". ".join(parts))
    world.write("b.txt", ". ".join(parts[:52]))
    world.write("c.txt", ". ".join(parts[:45]))
    world.ingest()
    assert _clusters(world) == {"a.txt": ["b.txt"]}
    assert _shown(world) == {"a.txt", "c.txt"}
    (world.folder / "b.txt").unlink()
    world.ingest(allow_deletions=True)
    assert _shown(world) == {"a.txt", "c.txt"}


def test_versions_of_one_document_are_no_duplicates_of_each_other(world):
    text = prose(1)
    for ending in ("", f" {FOOTER}", f" {FOOTER} {FOOTER}"):
        world.write("a.txt", text + ending)
        world.ingest()
    assert _clusters(world) == {}
    assert _shown(world) == {"a.txt"}


def test_what_policies_do_and_that_a_change_of_policy_needs_no_change_of_files(database_url, tmp_path):
    text, digests = prose(1), {}
    for policy, hidden, shown in (
        ("suppress", 1, {"b.txt"}),
        ("flag", 0, {"a.txt", "b.txt"}),
        ("off", 0, {"a.txt", "b.txt"}),
        ("suppress", 1, {"b.txt"}),
    ):
        with World.open(
            tmp_path, database_url, collections={"default": {"duplicates": {"policy": policy}}}
        ) as world:
            world.write("a.txt", text)
            world.write("b.txt", f"{text} {FOOTER}")
            plan = world.plan()
            assert plan.reelect == bool(digests)
            report = world.ingest()
            assert report.hidden == hidden
            assert _shown(world) == shown
            assert _clusters(world) == ({} if policy == "off" else {"b.txt": ["a.txt"]})
            assert digests.setdefault(policy, report.digest) == report.digest
            assert world.plan().is_empty
            assert world.ingest().state == "unchanged"
            assert world.problems() == []
    assert len(set(digests.values())) == 3


def test_no_document_is_hidden_by_one_of_another_collection(world):
    text = prose(1)
    world.write("a.txt", text)
    world.ingest()
    world.ingest(collection="second")
    for name in ("default", "second"):
        assert {hit.uri for hit in world.keyword("amber", collection=name)} == {"a.txt"}


def test_order_and_batches_make_no_difference(database_url, tmp_path):
    rng = random.Random(4)
    texts = {}
    for group in range(6):
        text = prose(group)
        for member in range(rng.randint(1, 4)):
            texts[f"{group}-{member}.txt"] = (
                text
                + f" {FOOTER}" * rng.randint(0, 2)
                + ("" if rng.random() < 0.5 else f" {prose(90 + group, 1)}")
            )
    digests = set()
    for turn in range(4):
        uris = sorted(texts)
        rng.shuffle(uris)
        size = rng.choice([1, 2, 5, 20])
        collections = {"default": {"guard": {"min_deleted": 1000}}}
        limits = {"window_documents": rng.choice([1, 3, 256])}
        base = tmp_path / str(turn)
        base.mkdir()
        with World.open(
            base, database_url, tenant=f"t{turn}", collections=collections, limits=limits
        ) as world:
            for start in range(0, len(uris), size):
                for uri in uris[start : start + size]:
                    world.write(uri, texts[uri])
                if rng.random() < 0.3:  # a detour
                    world.write(uris[start], prose(1234))
                    world.ingest()
                    world.write(uris[start], texts[uris[start]])
                report = world.ingest()
            digests.add(world.releases()[0].digest)
            assert world.problems() == []
            assert report.state == "succeeded"
    assert len(digests) == 1


def test_two_runs_at_once_elect_as_one_would(world):
    """The second is activated while the first stands before its own activation."""
    text = prose(1)
    world.write("x/a.txt", text)
    world.write("y/b.txt", f"{text} {FOOTER}")
    with plain_steps() as steps:
        gate = steps.check_gate

        def overtaken(workspace):
            gate(workspace)
            if workspace.scope.source.root_url.endswith("x"):
                world.ingest(world.folder / "y")

        report = ingest_location(
            world.session, replace(steps, check_gate=overtaken), str(world.folder / "x"), "default"
        )
    assert (report.state, report.documents.duplicate) == ("succeeded", 1)
    assert _clusters(world) == {"b.txt": ["a.txt"]}
    assert _shown(world) == {"b.txt"}


def test_a_winner_that_another_run_retires_meanwhile_is_replaced_before_the_release(world):
    """The duplicate has no vectors when its winner goes: they are made before anything is shown."""
    text = prose(1)
    world.write("y/b.txt", f"{text} {FOOTER}")
    world.ingest(world.folder / "y")
    world.write("x/a.txt", text)
    with plain_steps() as steps:
        gate = steps.check_gate

        def overtaken(workspace):
            gate(workspace)
            if workspace.scope.source.root_url.endswith("x"):
                world.write("y/b.txt", prose(77))
                world.ingest(world.folder / "y")

        report = ingest_location(
            world.session, replace(steps, check_gate=overtaken), str(world.folder / "x"), "default"
        )
    assert (report.state, report.documents.duplicate) == ("succeeded", 0)
    assert _clusters(world) == {}
    assert _shown(world) == {"a.txt", "b.txt"}


def test_a_staged_run_is_elected_again_when_it_is_activated(database_url, tmp_path):
    text = prose(1)
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "amber"\ndocument = "nowhere.txt"\n')
    gate = {"default": {"gate": {"canaries": str(canaries)}}}
    with World.open(tmp_path, database_url) as world:
        world.write("b.txt", f"{text} {FOOTER}")
        world.ingest()
    with World.open(tmp_path, database_url, collections=gate) as world:
        world.write("a.txt", text)
        world.write("c.txt", prose(9))
        with pytest.raises(GateFailed) as caught:
            world.ingest()
    with World.open(tmp_path, database_url) as world:
        rollback_collection(world.session, "default", "0")  # the winner goes
        run_id = caught.value.facts["run_id"]
        report = activate_staged(world.session, "default", UUID(run_id))
        assert (report.state, report.documents.duplicate) == ("succeeded", 0)
        assert _shown(world) == {"a.txt", "c.txt"}
        assert world.problems() == []


def test_documents_of_few_words_are_duplicates_only_if_equal(world):
    for name, text in {
        "a": "Stop",
        "b": "Stop",
        "c": "Stop here",
        "d": "***",
        "e": "One two three four",
    }.items():
        world.write(f"{name}.txt", text)
    world.write("empty.txt", "")
    report = world.ingest()
    assert report.documents.rejected == 1
    assert _clusters(world) == {"a.txt": ["b.txt"]}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_was_filled_into_the_same_form_stays_apart(world, family):
    """Applications, contracts, reports, invoices, mails with a long footer, in English and Korean."""
    for language in LANGUAGES.values():
        for seed in range(4):
            for name, text in zip("ab", FAMILIES[family](language, seed), strict=True):
                world.write(f"{language.name}-{seed}-{name}.txt", text)
    report = world.ingest()
    assert (report.documents.added, report.documents.duplicate) == (16, 0)


def test_a_passage_in_very_many_documents_does_not_make_them_candidates(world, monkeypatch):
    """Beyond the limit a band is not looked at; below it, what is found is no duplicate either."""
    footer = prose(0, 18)
    monkeypatch.setattr("tasks.dedup.pairs.MAX_BAND_TEXTS", 20)
    for number in range(60):
        world.write(f"{number}.txt", f"{prose(number + 1, 12)} {footer}")
    world.write("copy.txt", f"{prose(7, 12)} {footer} {FOOTER}")
    report = world.ingest()
    assert (report.documents.added, report.documents.duplicate) == (61, 1)
    assert _clusters(world) == {"copy.txt": ["6.txt"]}


def test_a_gate_that_fails_for_one_run_does_not_leave_its_election_behind(world):
    """The staged rows hold the run's election; nothing of it is shown."""
    text = prose(1)
    world.write("a.txt", text)
    first = world.ingest()
    world.write("b.txt", f"{text} {FOOTER}")
    with plain_steps() as steps:

        def fail(workspace):
            raise GateFailed("no", advice="")

        with pytest.raises(GateFailed):
            ingest_location(world.session, replace(steps, check_gate=fail), str(world.folder), "default")
    assert _shown(world) == {"a.txt"}
    assert world.releases()[0].digest.hex() == first.digest


def _interrupt(world, step, action):
    """An ingest of the whole folder; `action` happens in the middle of its election, or before a step."""
    done = []

    def once(*args, **options):
        if not done:
            done.append(True)
            action()

    with plain_steps() as steps, pytest.MonkeyPatch.context() as patch:
        if step == "in the election":
            import tasks.publishing

            decide = tasks.publishing.decide
            patch.setattr("tasks.publishing.decide", lambda *args: (decide(*args), once())[0])
        else:
            original = getattr(steps, step)
            steps = replace(steps, **{step: lambda *args: (once(), original(*args))[1]})
        return ingest_location(world.session, steps, str(world.folder), "default", allow_deletions=True)


@pytest.mark.parametrize("step", ["hold_election", "in the election", "check_gate", "activate"])
@pytest.mark.parametrize("other", ["ingest", "rollback", "forget"])
def test_another_release_at_any_moment_of_the_election(world, tmp_path, step, other):
    """None of them kills the run, and nobody is hidden by a document that has gone."""
    text = prose(1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c.txt").write_text(prose(2))
    world.ingest(elsewhere)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")
    if other == "ingest":
        (elsewhere / "d.txt").write_text(f"{text} {FOOTER} {FOOTER}")
        _interrupt(world, step, lambda: world.ingest(elsewhere))
        assert _clusters(world) == {"d.txt": ["b.txt", "a.txt"]}
    elif other == "rollback":
        _interrupt(world, step, lambda: rollback_collection(world.session, "default", "0"))
        assert _clusters(world) == {"b.txt": ["a.txt"]}
    else:

        def erase():
            with suppress(ForgetIncomplete):  # the raw bytes may be the running ingest's
                forget(world.session, "b.txt", "default")

        report = _interrupt(world, step, erase)
        assert report.documents.duplicate == 0
        assert (_clusters(world), _shown(world)) == ({}, {"a.txt", "c.txt"})
        assert world.ingest().documents.added == 1
    assert len(world.keyword("amber", k=1)) == 1


def test_who_is_forgotten_does_not_wait_for_a_model(world):
    text = prose(1)
    world.write("a.txt", text)
    world.write("b.txt", f"{text} {FOOTER}")
    world.write("c.txt", prose(2))
    world.ingest()
    (world.folder / "b.txt").unlink()

    def missing(card, settings):
        raise ModelNotAvailable("It is not here.", advice="")

    report = forget(replace(world.session, load_embedder=missing), "b.txt", "default")
    assert report["retired"] == ["a.txt"]
    assert "It stood for a.txt" in report["warnings"][0]
    assert set(report["proof"].values()) == {0}
    assert _shown(world) == {"c.txt"}
    assert world.ingest().documents.added == 1
    assert _shown(world) == {"a.txt", "c.txt"}


def test_a_run_that_would_hide_much_is_held_back(world):
    """A faulty export writes one text into every file."""
    for number in range(12):
        world.write(f"{number}.txt", prose(number))
    world.ingest()
    for number in range(12):
        world.write(f"{number}.txt", prose(99))
    with pytest.raises(GateFailed, match=r"11 of 12 documents would be hidden as duplicates"):
        world.ingest()
    assert len(_shown(world)) == 12


def test_settings_that_would_hide_much_are_held_back_too(database_url, tmp_path):
    off = {"default": {"duplicates": {"policy": "off"}}}
    with World.open(tmp_path, database_url, collections=off) as world:
        for number in range(12):
            world.write(f"{number}.txt", f"{prose(number // 4)}{f' {FOOTER}' * (number % 4)}")
        world.ingest()
    with World.open(tmp_path, database_url) as world:
        with pytest.raises(GateFailed, match=r"9 of 12 documents would be hidden as duplicates") as caught:
            world.ingest()
        assert len(_shown(world)) == 12
        report = activate_staged(world.session, "default", UUID(caught.value.facts["run_id"]))
        assert (report.hidden, len(_shown(world))) == (9, 3)
        assert world.plan().is_empty


def test_a_dated_backup_does_not_stand_for_the_file_that_is_in_use(world):
    text = prose(1)
    world.write("parking.md", f"{text}\n")
    for folder in ("backup_2019-03-01", "backup_2024-06-01"):
        world.write(f"{folder}/parking.md", f"{text} {FOOTER}\n")
    world.ingest()
    assert _clusters(world) == {
        "parking.md": ["backup_2019-03-01/parking.md", "backup_2024-06-01/parking.md"]
    }
    world.write("dated.md", f"---\ndate: 2018-01-01\n---\n\n{text}\n")
    world.ingest()
    assert set(_clusters(world)) == {"dated.md"}  # its own date


@pytest.mark.parametrize(
    "marker", ["draft: true", "published: false", "published: no", "status: draft", "status: 초안"]
)
def test_every_marker_of_a_draft_counts(world, marker):
    text = prose(1)
    world.write("a.md", f"---\n{marker}\n---\n\n{text}\n")
    world.write("b.md", f"{text}\n")
    world.ingest()
    assert _clusters(world) == {"b.md": ["a.md"]}


def test_forgetting_names_the_near_copies_that_stay(world):
    text = prose(1)
    for name, ending in (("a.txt", ""), ("b.txt", f" {FOOTER}"), ("c.txt", f" {FOOTER} {prose(3, 1)}")):
        world.write(name, text + ending)
    world.ingest()
    for uri in ("c.txt", "a.txt"):
        (world.folder / uri).unlink()
        warnings = forget(world.session, uri, "default")["warnings"]
        others = "a.txt (docs), b.txt (docs)" if uri == "c.txt" else "b.txt (docs)"
        assert warnings == [
            f"Near-duplicates, with nearly the same text, are {others}. Forget these too if they must go."
        ]
