"""Prototypes beside other runs: what is purged, forgotten or chosen meanwhile stays so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks.prototypes.building as building
from flows import prototyping
from flows.forgetting import forget
from flows.purging import purge_collection
from registry.collections import get_collection
from registry.prototypes import get_set, list_sets
from schemas.errors import RunStopped
from tests.pictures import file
from tests.world import World

SETTINGS: dict[str, Any] = {"kind": "images", "model": "small-clip", "gate": {"max_prototype_shift": 2}}
SHORT = {"keep_days": 0, "keep_versions": 3, "grace_hours": 0}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with World.open(tmp_path, database_url) as world:
        world.configure(**SETTINGS, retention=SHORT)
        for name in ("car", "hat", "shoe"):
            for number in range(4):
                world.write(f"{name}/{number}.png", file(name, number))
        world.ingest()
        yield world


def versions(world: World) -> list[int]:
    collection = get_collection(world.session.db, "default")
    return [one.version for one in list_sets(world.session.db, collection.id)]


def in_use(world: World, version: int | None = None) -> bytes:
    collection = get_collection(world.session.db, "default")
    return get_set(world.session.db, collection.id, version).digest


def mentions(world: World, uri: str) -> int:
    with world.session.db.connection() as connection:
        query = "SELECT count(*) FROM prototype_set WHERE report::text LIKE %s"
        row = connection.execute(query, (f"%{uri}%",)).fetchone()
    assert row is not None
    return int(row[0])


def before_storing(monkeypatch: pytest.MonkeyPatch, module: Any, action: Callable[[], object]) -> None:
    """Let something happen at the moment when a set was made and is about to be stored."""
    real = module.store_set

    def late(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(module, "store_set", real)
        action()
        return real(*args, **options)

    monkeypatch.setattr(module, "store_set", late)


def test_a_build_that_read_an_image_before_it_was_forgotten_does_not_store_it(world, monkeypatch):
    secret = world.write("hat/secret.png", file("car", 77))
    with monkeypatch.context() as patch:
        patch.setattr("tasks.batch.build_prototypes", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.ingest()
    secret.unlink()
    for path in (world.session.settings.home / "blobs").rglob("*"):
        os.utime(path, (1.7e9, 1.7e9))  # else the raw bytes are left to a purge: another run is at work
    before_storing(monkeypatch, building, lambda: forget(world.session, "hat/secret.png", "default"))
    prototyping.build(world.session, "default")
    assert mentions(world, "secret") == 0
    assert prototyping.show(world.session, "default")["images_of_class"]["hat"] == 4


def test_a_set_that_is_rolled_back_beside_a_forget_does_not_come_back(world, monkeypatch):
    secret = world.write("hat/secret.png", file("car", 77))
    world.ingest()
    secret.unlink()
    world.ingest()
    before_storing(monkeypatch, prototyping, lambda: forget(world.session, "hat/secret.png", "default"))
    with pytest.raises(RunStopped, match="Nothing was changed"):
        prototyping.roll_back(world.session, "default", 2)
    assert mentions(world, "secret") == 0
    assert 2 not in versions(world)


def test_a_set_chosen_while_another_is_made_stays_in_use(world, monkeypatch):
    first = in_use(world)
    world.write("hat/new.png", file("hat", 9))
    world.ingest()
    before_storing(monkeypatch, building, lambda: prototyping.roll_back(world.session, "default", 1))
    world.configure(**SETTINGS, prototypes={"tau1": 0.5})
    world.ingest()
    assert in_use(world) == first


def test_two_builds_at_once_store_one_set(world, monkeypatch):
    world.configure(**SETTINGS, prototypes={"tau1": 0.5})
    before_storing(monkeypatch, building, lambda: prototyping.build(world.session, "default"))
    world.ingest()
    assert versions(world) == [2, 1]


def test_a_purge_drops_the_sets_of_the_images_it_drops(world):
    secret = world.write("hat/secret.png", file("car", 77))
    world.ingest()
    secret.unlink()
    world.ingest()
    assert versions(world) == [3, 2, 1]
    purge_collection(world.session, "default")
    assert mentions(world, "secret") == 0
    assert versions(world) == [3, 1], "what the first set was made of is all still there"
    assert world.problems() == []


def test_what_was_purged_under_one_name_and_forgotten_under_another_is_in_no_set(world):
    world.write("hat/kim.png", file("car", 77))
    world.ingest()
    (world.folder / "hat/kim.png").rename(world.folder / "hat/moved.png")
    world.ingest()
    purge_collection(world.session, "default")
    (world.folder / "hat/moved.png").unlink()
    report = forget(world.session, "hat/moved.png", "default")
    assert report["proof"]["reports of prototypes"] == 0
    assert mentions(world, "kim") + mentions(world, "moved") == 0
    assert 2 not in versions(world)


def test_images_renamed_and_purged_still_have_a_picture(world):
    for path in sorted((world.folder / "hat").glob("*.png")):
        path.rename(path.with_name(f"renamed-{path.name}"))
    world.ingest()
    purge_collection(world.session, "default")
    assert versions(world) == [1]
    assert prototyping.draw(world.session, "default").startswith(b"\x89PNG")


def test_class_names_stay_out_of_what_is_remembered_of_runs(world):
    for number in range(3):
        world.write(f"Kim Minsu/{number}.png", file("kim", number))
    report = world.ingest()
    assert report.prototypes is not None
    assert report.prototypes.added == ["Kim Minsu"]
    with world.session.db.connection() as connection:
        rows = connection.execute("SELECT stats::text FROM run").fetchall()
    assert rows
    assert not any("Kim" in stats for (stats,) in rows)


def test_lost_classes_pass_the_gate_where_deletions_are_allowed(world):
    for path in (world.folder / "hat").iterdir():
        path.unlink()
    report = world.ingest(allow_deletions=True)
    assert report.prototypes is not None
    assert report.prototypes.lost == ["hat"]


def test_classes_that_never_had_a_prototype_may_go(world):
    for number in range(3):
        world.write(f"__x/{number}.png", file("x", number))
        world.write(f"unknown/{number}.png", file("u", number))
    report = world.ingest()
    assert report.prototypes is not None
    assert set(report.prototypes.left_out) == {"__x", "unknown"}
    for path in (world.folder / "__x").iterdir():
        path.unlink()
    (world.folder / "unknown").rename(world.folder / "other")
    report = world.ingest()
    assert report.prototypes is not None
    assert (report.prototypes.added, report.prototypes.lost) == (["other"], [])
