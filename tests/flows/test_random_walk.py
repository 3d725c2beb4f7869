"""Any sequence of edits: search shows exactly what the folder holds, and all invariants stand."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.flows.plain_model import searchable
from tests.likeness import is_alike
from tests.texts import english_sentence
from tests.world import World

STEPS = 60
WORDS = [f"word{number}" for number in range(40)]


class Walk:
    """A folder that is edited at random, with the plain truth beside it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)

    def step(self) -> None:
        files = [p for p in self.world.folder.rglob("*") if p.is_file()]
        actions = [self.add, self.add, self.edit, self.copy, self.rename, self.delete, self.break_]
        action = self.rng.choice(actions) if files else self.add
        action(files)

    def text(self) -> str:
        sentences = [english_sentence(self.rng) for _ in range(self.rng.randint(1, 25))]
        return f"{self.rng.choice(WORDS)} starts here. {' '.join(sentences)}"

    def path(self) -> Path:
        folder = self.rng.choice(["", "a", "a/b", "c"])
        path = self.world.folder / folder / f"f{self.rng.randint(0, 15)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, files):
        self.path().write_text(self.text())

    def edit(self, files):
        path = self.rng.choice(files)
        text = path.read_text()
        at = self.rng.randint(0, len(text))
        path.write_text(text[:at] + " " + english_sentence(self.rng) + " " + text[at:])

    def copy(self, files):
        source, target = self.rng.choice(files), self.path()
        if source != target:
            shutil.copy(source, target)

    def rename(self, files):
        self.rng.choice(files).rename(self.path())

    def delete(self, files):
        self.rng.choice(files).unlink()

    def break_(self, files):
        self.rng.choice(files).write_bytes(b"")


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_to_the_files_search_shows_them_and_the_registry_is_sound(world, seed):
    walk = Walk(world, seed)
    good: dict[str, str] = {}
    for _ in range(STEPS):
        for _ in range(walk.rng.randint(1, 4)):
            walk.step()
        scope = world.folder / "a" if walk.rng.random() < 0.3 and (world.folder / "a").is_dir() else None
        before = world.embedder.embedded
        report = world.ingest(scope, allow_deletions=True)
        assert world.embedder.embedded - before == report.chunks.embedded
        _follow(good, world, scope)
        assert _shown(world) == _expected(searchable(good, is_alike))
        assert world.problems() == []
        assert world.ingest(scope).state == "unchanged"


def _follow(good: dict[str, str], world: World, scope: Path | None) -> None:
    """What should be shown: the last readable text of each file that is still there."""
    prefix = "" if scope is None else "a/"
    files = {
        path.relative_to(world.folder).as_posix(): path.read_text()
        for path in world.folder.rglob("*")
        if path.is_file()
    }
    for uri in [uri for uri in good if uri.startswith(prefix) and uri not in files]:
        del good[uri]
    good |= {uri: text for uri, text in files.items() if uri.startswith(prefix) and text.strip()}


def _expected(good: dict[str, str]) -> dict[str, str]:
    return {uri: "".join(text.split()) for uri, text in good.items()}


def _shown(world: World) -> dict[str, str]:
    """uri -> text put together from the chunks that the current release shows."""
    with world.session.db.connection() as connection:
        rows = connection.execute(
            "SELECT d.uri, string_agg(c.text, ' ' ORDER BY vc.ordinal) FROM visible s "
            "JOIN chunk c ON c.id = s.chunk_id JOIN version_chunk vc ON vc.chunk_id = c.id "
            "JOIN activation a ON a.version_id = vc.version_id AND a.to_release IS NULL AND NOT a.suppressed "
            "JOIN document d ON d.id = a.document_id GROUP BY d.uri"
        ).fetchall()
    return {uri: "".join(text.split()) for uri, text in rows}
