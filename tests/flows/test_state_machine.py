"""Any sequence of edits, ingests, rollbacks, purges and crashes ends in what a plain model says."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flows.forgetting import forget
from flows.pipeline import ingest_location
from flows.purging import purge_collection
from flows.rollback import rollback_collection
from registry.collections import find_collection
from registry.history import tag_release
from registry.rollback import DocumentTarget
from schemas.errors import DocumentNotFound, ReleaseIncomplete
from tasks.batch import Steps, plain_steps
from tests.archives import zipped
from tests.flows.plain_model import FAMILIES, PlainModel, State, elect, family_text, searchable
from tests.world import World

ARCHIVE = "a/box.zip"
URIS = [f"{folder}f{number}.txt" for folder in ("", "a/", f"{ARCHIVE}/") for number in range(3)]
WORDS = "heron stork crane gull swan 두루미 왜가리 갈매기 raven finch robin wren".split()
RETENTION = {"keep_versions": 1, "keep_days": 0, "grace_hours": 0}
CRASH_POINTS = [step.name for step in fields(Steps) if step.name not in ("list_source", "index_vectors")]


class Crash(BaseException):
    """The process dies here."""


class Machine(RuleBasedStateMachine):
    """Drives a world and the plain model side by side."""

    url: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.base = Path(tempfile.mkdtemp(prefix="revector-machine-"))
        collections = {"default": {"retention": RETENTION}}
        self.world = self.stack.enter_context(World.open(self.base, self.url, collections=collections))
        self.model = PlainModel()
        self.digests: dict[frozenset, bytes] = {}
        self.serial = 0
        self.dropped_vectors = 0

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.base, ignore_errors=True)

    # --- the source -------------------------------------------------------------------

    @initialize(words=st.lists(st.sampled_from(WORDS), min_size=2, max_size=2))
    def start(self, words):
        for uri, word in zip(URIS, words, strict=False):
            self.put(uri, self.text(word))
        self.ingest()

    def text(self, word: str) -> str:
        self.serial += 1
        return f"Sentence {self.serial} tells of {word} and of nothing else at all."

    def put(self, uri: str, text: str) -> None:
        self.model.files[uri] = text
        if _is_packed(uri):
            self.pack()
        else:
            self.world.write(uri, text)

    def remove(self, uri: str) -> str:
        text = self.model.files.pop(uri)
        if _is_packed(uri):
            self.pack()
        else:
            (self.world.folder / uri).unlink()
        return text

    def pack(self) -> None:
        """Write the archive anew with what the model has in it."""
        inside = {uri[len(ARCHIVE) + 1 :]: text for uri, text in self.model.files.items() if _is_packed(uri)}
        if inside:
            self.world.write(ARCHIVE, zipped(inside))
        else:
            (self.world.folder / ARCHIVE).unlink()

    @rule(uri=st.sampled_from(URIS), word=st.sampled_from(WORDS))
    def write(self, uri, word):
        self.put(uri, self.text(word))

    @rule(uri=st.sampled_from(URIS), family=st.sampled_from(FAMILIES), ending=st.integers(0, 2))
    def write_a_near_duplicate(self, uri, family, ending):
        self.put(uri, family_text(family, ending))

    @rule(uri=st.sampled_from(URIS), data=st.data())
    @precondition(lambda self: any(len(s) for s in self.model.states))
    def write_something_old(self, uri, data):
        texts = sorted({text for state in self.model.states for text in state.values()})
        self.put(uri, data.draw(st.sampled_from(texts)))

    @rule(data=st.data(), uri=st.sampled_from(URIS))
    @precondition(lambda self: self.model.files)
    def copy(self, data, uri):
        self.put(uri, self.model.files[data.draw(st.sampled_from(sorted(self.model.files)))])

    @rule(data=st.data(), uri=st.sampled_from(URIS))
    @precondition(lambda self: self.model.files)
    def move(self, data, uri):
        old = data.draw(st.sampled_from(sorted(self.model.files)))
        if old != uri and (_is_packed(old) or _is_packed(uri)):
            self.put(uri, self.remove(old))
        elif old != uri:
            (self.world.folder / uri).parent.mkdir(parents=True, exist_ok=True)
            (self.world.folder / old).rename(self.world.folder / uri)
            self.model.files[uri] = self.model.files.pop(old)

    @rule(data=st.data())
    @precondition(lambda self: self.model.files)
    def delete(self, data):
        self.remove(data.draw(st.sampled_from(sorted(self.model.files))))

    # --- runs -------------------------------------------------------------------------

    @rule()
    def ingest(self):
        report = self.world.ingest(allow_deletions=True)
        assert (report.release is not None) == self.model.ingest(), report

    @rule()
    def reapply(self):
        report = self.world.ingest(allow_deletions=True, reapply=True)
        assert (report.release is not None) == self.model.ingest(reapply=True), report

    @rule(point=st.sampled_from(CRASH_POINTS), after=st.booleans())
    def crash_in_an_ingest(self, point, after):
        with plain_steps() as steps:
            broken = replace(steps, **{point: _crashing(getattr(steps, point), after=after)})
            try:
                ingest_location(
                    self.world.session, broken, str(self.world.folder), "default", allow_deletions=True
                )
            except Crash:
                if (point == "activate" and after) or point == "check_release":  # it is shown by then
                    self.model.ingest()
            else:  # the run did not come that far: nothing to do there
                self.model.ingest()

    @rule(data=st.data())
    def rollback(self, data):
        number = data.draw(st.integers(0, len(self.model.states) - 1))
        if not self.model.whole[number]:
            with pytest.raises(ReleaseIncomplete):
                rollback_collection(self.world.session, "default", str(number))
            return
        report = rollback_collection(self.world.session, "default", str(number))
        assert (report.release is not None) == self.model.rollback(number)
        assert report.chunks.embedded == 0

    @rule(uri=st.sampled_from(URIS))
    @precondition(lambda self: any(self.model.previous(uri) for uri in URIS))
    def rollback_a_document(self, uri):
        if self.model.previous(uri) is not None:
            rollback_collection(self.world.session, "default", DocumentTarget(uri))
            self.model.rollback_document(uri)

    @rule(data=st.data())
    @precondition(lambda self: len(self.model.states) > 1)
    def tag(self, data):
        number = data.draw(st.integers(1, len(self.model.states) - 1))
        release = next(r for r in self.world.releases() if r.number == number)
        collection = find_collection(self.world.session.db, "default")
        if not self.model.whole[number]:
            with pytest.raises(ReleaseIncomplete):
                tag_release(self.world.session.db, collection, release, f"tag-{number}")
            return
        tag_release(self.world.session.db, collection, release, f"tag-{number}")
        self.model.tagged.add(number)

    @rule()
    def purge(self):
        release = self.world.releases()[0].number if self.has_collection() else None
        if release is not None:
            planned = purge_collection(self.world.session, "default", dry_run=True)
            report = purge_collection(self.world.session, "default")
            assert report["items"] == planned["items"]
            self.dropped_vectors += report["vectors"]
            self.model.purge(RETENTION["keep_versions"])
            assert self.world.releases()[0].number == release

    @rule(uri=st.sampled_from(URIS))
    def forget(self, uri):
        if not self.has_collection():
            return
        try:
            report = forget(self.world.session, uri, "default")
        except DocumentNotFound:
            assert not any(uri in state for state in self.model.states)
            return
        self.dropped_vectors += report["vectors"]
        assert (report["release"] is not None) == self.model.forget(uri)
        assert set(report["proof"].values()) == {0}

    # --- what must hold after every step -----------------------------------------------

    @invariant()
    def search_shows_what_the_model_shows(self):
        if not self.has_collection():
            return
        duplicates = elect(self.model.shown)
        assert _duplicates(self.world) == duplicates
        assert _shown(self.world) == searchable(self.model.shown)
        for word in (*WORDS[2:5], *FAMILIES):
            hits = self.world.keyword(word, k=50)
            wanted = {uri for uri, text in self.model.shown.items() if f" {word} " in text}
            assert {hit.uri for hit in hits} <= wanted - duplicates.keys()
            assert {uri for hit in hits for uri in (*hit.documents, *hit.duplicates)} == wanted

    @invariant()
    def equal_states_and_only_they_have_equal_digests(self):
        if not self.has_collection():
            return
        releases = {release.number: release for release in self.world.releases()}
        assert sorted(releases) == list(range(1, len(self.model.states)))
        for number, release in releases.items():
            assert (release.missing == 0) == self.model.whole[number]
            if release.missing:
                continue
            assert release.documents == len(self.model.states[number])
            state = frozenset(self.model.states[number].items())
            assert self.digests.setdefault(state, release.digest) == release.digest
        assert len(set(self.digests.values())) == len(self.digests)

    @invariant()
    def the_registry_is_sound(self):
        assert self.world.problems() == []

    @invariant()
    def nothing_is_embedded_twice(self):
        if self.has_collection():
            assert _count(self.world, "vectors_1") + self.dropped_vectors == self.world.embedder.embedded

    def has_collection(self) -> bool:
        found = find_collection(self.world.session.db, "default")
        return found is not None and found.active_space_id is not None


def _is_packed(uri: str) -> bool:
    return uri.startswith(f"{ARCHIVE}/")


def _crashing(step, *, after: bool):
    def crash(*args, **options):
        if after:
            step(*args, **options)
        raise Crash

    return crash


def _shown(world: World) -> State:
    with world.session.db.connection() as connection:
        rows = connection.execute(
            "SELECT p.uri, string_agg(c.text, ' ' ORDER BY p.ordinal) FROM current_places p "
            "JOIN chunk c ON c.id = p.chunk_id JOIN visible s ON s.chunk_id = c.id GROUP BY p.uri"
        ).fetchall()
    return dict(rows)


def _duplicates(world: World) -> dict[str, str]:
    with world.session.db.connection() as connection:
        rows = connection.execute("SELECT uri, winner FROM current_duplicates WHERE suppressed").fetchall()
    return dict(rows)


def _count(world: World, table: str) -> int:
    with world.session.db.connection() as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def machine(server_url, new_database):
    """The machine's class; each of its runs has a database of its own."""

    class Fresh(Machine):
        def __init__(self) -> None:
            self.database = new_database()
            type(self).url = self.database.__enter__()
            super().__init__()

        def teardown(self) -> None:
            super().teardown()
            self.database.__exit__(None, None, None)

    return Fresh


def test_every_sequence_ends_as_the_plain_model_says(machine):
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=settings.get_profile("machine"))
