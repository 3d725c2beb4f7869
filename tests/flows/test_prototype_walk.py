"""Random histories of images: sound after each step, prototypes those of a rebuild, bit for bit."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows import prototyping
from flows.forgetting import forget
from flows.pipeline import ingest_location
from flows.purging import purge_collection
from flows.rollback import rollback_collection
from registry.blobs import BlobStore
from registry.check import check_fully
from registry.collections import find_collection, get_collection
from registry.members import count_classes
from registry.prototypes import get_set, list_sets
from schemas.errors import RevectorError
from tasks.batch import plain_steps
from tests.pictures import file
from tests.world import World

NIGHTLY = os.environ.get("TESTS_NIGHTLY") == "1"
SEEDS, STEPS = (range(20), 60) if NIGHTLY else (range(3), 20)
NAMES = ("hat", "shoe", "고양이")
KINDS = ({}, {"k": 2}, {"trim": 0.2}, {"min_images": 1}, {"tau1": 0.5, "tau2": 0.1})
STEPS_THAT_DIE = ("write_window", "hold_election", "embed_batch", "activate", "build_prototypes")


class Walk:
    """One random history; its methods are the steps it may take."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.serial = 0
        self.prototypes: dict[str, Any] = {}
        self.configure()

    def configure(self) -> None:
        self.world.configure(
            kind="images",
            model="small-clip",
            gate={"max_prototype_shift": 2},
            duplicates={"policy": "off"},
            retention={"keep_days": 0, "keep_versions": self.chance.choice((0, 3)), "grace_hours": 0},
            prototypes=self.prototypes,
        )

    def files(self) -> list[Path]:
        return sorted(self.world.folder.rglob("*.png"))

    def new(self, suffix: str = "png") -> Path:
        self.serial += 1
        path = self.world.folder / self.chance.choice(NAMES) / f"{self.serial}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        return path

    def add(self) -> None:
        path = self.new()
        path.write_bytes(file(path.parent.name, self.chance.randrange(40)))

    def remove(self) -> None:
        self.chance.choice(self.files()).unlink()

    def change(self) -> None:
        self.serial += 1
        self.chance.choice(self.files()).write_bytes(file(self.chance.choice(NAMES), self.serial))

    def move(self) -> None:
        self.chance.choice(self.files()).rename(self.new())

    def caption(self) -> None:
        said = {"caption": str(self.serial), "class": self.chance.choice(("", "neu"))}
        self.chance.choice(self.files()).with_suffix(".json").write_text(json.dumps(said))

    def set_other(self) -> None:
        self.prototypes = dict(self.chance.choice(KINDS))
        self.configure()

    def roll_back(self) -> None:
        collection = get_collection(self.world.session.db, "default")
        to = self.chance.randrange(1, collection.current_release + 1)
        rollback_collection(self.world.session, "default", str(to))

    def choose_set(self) -> None:
        collection = get_collection(self.world.session.db, "default")
        version = self.chance.choice(list_sets(self.world.session.db, collection.id)).version
        prototyping.roll_back(self.world.session, "default", version)

    def purge(self) -> None:
        purge_collection(self.world.session, "default")

    def forget(self) -> None:
        path = self.chance.choice(self.files())
        path.unlink()
        forget(self.world.session, path.relative_to(self.world.folder).as_posix(), "default")

    def die(self) -> None:
        name = self.chance.choice(STEPS_THAT_DIE)

        def dies(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        self.add()
        with plain_steps() as steps, suppress(ZeroDivisionError):  # some steps have nothing to do
            broken = replace(steps, **{name: dies})
            ingest_location(self.world.session, broken, str(self.world.folder), "default")

    def step(self) -> str:
        changes: list[Callable[[], None]] = [self.add, self.change, self.move, self.caption, self.set_other]
        changes += [self.remove, self.roll_back, self.choose_set, self.purge, self.forget, self.die]
        chosen = self.chance.choice(changes) if len(self.files()) > 5 else self.add
        try:
            chosen()
        except RevectorError as exc:  # there may be nothing to go back to
            return f"{chosen.__name__}: {type(exc).__name__}"
        return chosen.__name__

    def expected(self) -> Counter[str]:
        """Classes as a person would count them."""
        found: Counter[str] = Counter()
        for path in self.files():
            side = path.with_suffix(".json")
            said = json.loads(side.read_text())["class"] if side.exists() else ""
            found[said or path.parent.name] += 1
        return found


@pytest.mark.parametrize("seed", SEEDS)
def test_prototypes_are_those_of_a_rebuild_whatever_the_way_there(tmp_path, database_url, seed):
    with World.open(tmp_path, database_url) as world:
        walk, taken = Walk(world, seed), []
        for _ in range(STEPS):
            taken.append(walk.step())
            world.ingest(allow_deletions=True, reapply=True)
            collection = find_collection(world.session.db, "default")
            assert collection is not None
            blobs = BlobStore(world.session.settings.home, world.session.db.tenant_id)
            assert check_fully(world.session.db, collection, blobs).problems == [], taken
            assert (
                count_classes(world.session.db, collection.id, collection.current_release) == walk.expected()
            )
            if not list_sets(world.session.db, collection.id):
                continue
            used = get_set(world.session.db, collection.id)
            if not used.is_rollback:
                prototyping.build(world.session, "default", rebuild=True)
                assert get_set(world.session.db, collection.id).digest == used.digest, taken
