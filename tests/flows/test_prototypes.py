"""Prototypes follow the releases of an image collection: exactly, cheaply, and back again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from flows import prototyping
from flows.checking import check
from flows.classifying import classify_images
from flows.forgetting import forget
from flows.reporting.markdown import prototypes_markdown
from flows.rollback import rollback_collection
from flows.staged import activate_staged
from registry.blobs import BlobStore
from registry.check import check_fully
from registry.collections import get_collection
from registry.prototype_retention import drop_old_sets, find_old_sets
from registry.prototypes import get_set, list_sets
from registry.runs import list_staged_runs
from schemas.check import PROTOTYPES
from schemas.errors import ConfigurationError, GateFailed, PrototypesNotFound, RegistryUnsound
from schemas.prototype import PrototypeSet
from tests.pictures import file
from tests.world import World

CLASSES = ("고양이", "자동차", "shoe", "hat", "나무")


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with World.open(tmp_path, database_url) as world:
        world.configure(kind="images", model="small-clip", gate={"max_prototype_shift": 2})
        yield world


@pytest.fixture
def five(world: World) -> World:
    for name in CLASSES:
        for number in range(6):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    return world


def in_use(world: World, version: int | None = None) -> PrototypeSet:
    return get_set(world.session.db, get_collection(world.session.db, "default").id, version)


def versions(world: World) -> list[int]:
    sets = list_sets(world.session.db, get_collection(world.session.db, "default").id)
    return [one.version for one in sets]


def exported(world: World, folder: Path) -> tuple[bytes, dict[str, object]]:
    prototyping.export(world.session, "default", folder)
    meta = json.loads((folder / "prototypes.meta.json").read_text(encoding="utf-8"))
    meta.pop("created_at")
    return (folder / "prototypes.npz").read_bytes(), meta


def test_every_class_has_a_prototype_that_its_images_are_nearest_to(five, tmp_path):
    found = in_use(five)
    assert [one.name for one in found.prototypes] == sorted(CLASSES)
    assert [one.images for one in found.prototypes] == [6] * 5
    assert found.report["accuracy"] == 1.0
    path = tmp_path / "new.png"
    path.write_bytes(file("hat", 99))
    other = tmp_path / "other.png"
    other.write_bytes(file("something else", 1))
    known, unknown = classify_images(five.session, [path, other], "default")
    assert (known["verdict"], known["is_unknown"]) == ("hat", False)
    assert known["top_k"][0][0] == "hat"
    assert len(known["top_k"]) == 3
    assert (unknown["verdict"], unknown["is_unknown"]) == ("unknown", True)


def test_one_image_more_embeds_one_reads_one_and_changes_one_prototype(five):
    before = in_use(five)
    five.write("hat/new.png", file("hat", 50))
    report = five.ingest()
    assert report.chunks.embedded == 1
    assert report.prototypes is not None
    assert (report.prototypes.read, report.prototypes.changed) == (1, ["hat"])
    after = in_use(five)
    same = [
        a for a, b in zip(before.prototypes, after.prototypes, strict=True) if np.array_equal(a.sum, b.sum)
    ]
    assert [one.name for one in same] == sorted(set(CLASSES) - {"hat"})


def test_what_grew_step_by_step_is_bit_for_bit_what_a_rebuild_makes(five):
    chance = random.Random(7)
    for step in range(12):
        name = chance.choice(CLASSES)
        files = sorted((five.folder / name).glob("*.png"))
        action = chance.choice(("add", "add", "remove", "replace", "move"))
        if action == "add" or len(files) < 4:
            five.write(f"{name}/s{step}.png", file(name, 100 + step))
        elif action == "remove":
            files[0].unlink()
        elif action == "replace":
            files[0].write_bytes(file(name, 200 + step))
        else:
            files[0].rename(five.folder / chance.choice(CLASSES) / f"m{step}.png")
        five.ingest(allow_deletions=True)
        if step % 4 == 3:
            grown = in_use(five)
            built = prototyping.build(five.session, "default", rebuild=True)
            assert not built.made, "a rebuild differs from what grew"
            assert bytes.fromhex(built.digest or "") == grown.digest
    assert five.problems() == []


def test_a_rollback_of_the_collection_brings_its_prototypes_back(five, tmp_path):
    npz, meta = exported(five, tmp_path / "one")
    five.write("hat/new.png", file("hat", 50))
    five.ingest()
    assert exported(five, tmp_path / "two")[0] != npz
    report = rollback_collection(five.session, "default", "1")
    assert report.prototypes is not None
    assert report.prototypes.read == 0
    assert exported(five, tmp_path / "three") == (npz, meta)


def test_a_rolled_back_set_exports_the_same_bytes_and_stays_until_the_next_release(five, tmp_path):
    first = exported(five, tmp_path / "one")
    five.write("hat/new.png", file("hat", 50))
    five.ingest()
    second = exported(five, tmp_path / "two")
    stored = prototyping.roll_back(five.session, "default", 1)
    assert stored.version == 3
    assert exported(five, tmp_path / "three") == first
    five.ingest()  # nothing changed: the set that was chosen stays
    assert versions(five)[0] == 3
    assert prototyping.build(five.session, "default").made, "asked for, a set of the current release is made"
    assert exported(five, tmp_path / "four") == second
    five.write("hat/newer.png", file("hat", 51))
    five.ingest()
    assert versions(five)[0] == 5


def test_an_export_is_read_by_plain_numpy(five, tmp_path):
    npz, meta = exported(five, tmp_path / "out")
    assert npz
    with np.load(tmp_path / "out/prototypes.npz") as arrays:
        for one in in_use(five).prototypes:
            assert arrays[one.name].dtype == np.float32
            assert np.array_equal(arrays[one.name], one.vectors[0])
            assert abs(np.linalg.norm(arrays[one.name]) - 1) < 1e-6
    assert meta["classes"] == sorted(CLASSES)
    assert meta["domain"] == "default"
    assert meta["statistics"]["total_classes"] == 5
    assert meta["statistics"]["avg_samples_per_class"] == 6
    assert meta["release"] == 1


def test_a_caption_alone_makes_a_release_and_no_new_set(five):
    five.write("hat/1.txt", "중절모")
    report = five.ingest()
    assert report.release == 2
    assert report.prototypes is not None
    assert (report.prototypes.version, report.prototypes.made) == (1, False)


def test_a_run_that_died_before_its_prototypes_leaves_them_to_the_next(five, monkeypatch):
    five.write("hat/new.png", file("hat", 50))
    with monkeypatch.context() as patch:
        patch.setattr("tasks.batch.build_prototypes", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            five.ingest()
    assert not prototyping.show(five.session, "default")["is_current"]
    report = five.ingest()
    assert report.state == "unchanged"
    assert report.prototypes is not None
    assert (report.prototypes.version, report.prototypes.changed) == (2, ["hat"])


def test_a_class_that_vanishes_is_held_back_by_the_gate(five):
    shutil.rmtree(five.folder / "hat")
    with pytest.raises(GateFailed, match=r"hat.*max_lost_classes"):
        five.ingest()
    assert len(in_use(five).prototypes) == 5
    runs = five.session.db
    collection = get_collection(runs, "default")
    run = list_staged_runs(runs, collection.id)[-1]
    report = activate_staged(five.session, "default", UUID(run))
    assert report.prototypes is not None
    assert (report.prototypes.lost, len(in_use(five).prototypes)) == (["hat"], 4)


def test_a_prototype_that_moves_too_far_is_held_back_by_the_gate(five):
    five.configure(kind="images", model="small-clip", gate={"max_prototype_shift": 0.05})
    for number in range(6):
        five.write(f"hat/{number}.png", file("자동차", 300 + number))
    with pytest.raises(GateFailed, match=r"hat by 0\.\d+.*max_prototype_shift"):
        five.ingest()
    assert versions(five) == [1]


def test_classes_with_too_few_images_are_left_out_and_named(world):
    world.write("one/1.png", file("one", 1))
    for number in range(3):
        world.write(f"two/{number}.png", file("two", number))
    report = world.ingest()
    assert report.prototypes is not None
    assert (report.prototypes.classes, report.prototypes.left_out) == (1, {"one": 1})
    world.write("one/2.png", file("one", 2))
    report = world.ingest()
    assert report.prototypes is not None
    assert (report.prototypes.added, report.prototypes.left_out) == (["one"], {})


def test_other_settings_make_another_set(five):
    before = in_use(five)
    five.configure(kind="images", model="small-clip", prototypes={"tau1": 0.9, "tau2": 0.5})
    report = five.ingest()
    assert report.prototypes is not None
    assert report.prototypes.version == 2
    after = in_use(five)
    assert (after.thresholds.tau1, after.thresholds.tau2) == (0.9, 0.5)
    assert all(np.array_equal(a.sum, b.sum) for a, b in zip(before.prototypes, after.prototypes, strict=True))


def test_several_vectors_of_a_class_and_trimming_follow_changes_too(five):
    five.configure(kind="images", model="small-clip", prototypes={"k": 2, "trim": 0.2})
    five.ingest()
    assert {len(one.vectors) for one in in_use(five).prototypes} <= {1, 2}
    five.write("hat/new.png", file("hat", 50))
    report = five.ingest()
    assert report.prototypes is not None
    assert report.prototypes.changed == ["hat"]
    grown = in_use(five).digest
    prototyping.build(five.session, "default", rebuild=True)
    assert in_use(five).digest == grown


def test_a_forgotten_image_is_in_no_prototype_any_more(five):
    five.write("hat/secret.png", file("자동차", 77))
    five.ingest()
    tainted = in_use(five)
    (five.folder / "hat/secret.png").unlink()
    forget(five.session, "hat/secret.png", "default")
    left = [in_use(five, version) for version in versions(five)]
    assert tainted.digest not in {one.digest for one in left}
    now = in_use(five)
    assert prototyping.show(five.session, "default")["is_current"]
    assert not prototyping.build(five.session, "default", rebuild=True).made
    assert {one.name: one.images for one in now.prototypes} == dict.fromkeys(CLASSES, 6)
    assert five.problems() == []


def test_retention_drops_old_sets_and_keeps_the_one_in_use(five):
    for number in range(4):
        five.write(f"hat/n{number}.png", file("hat", 60 + number))
        five.ingest()
    db, collection = five.session.db, get_collection(five.session.db, "default")
    later = datetime.now(UTC) + timedelta(days=1)
    old = find_old_sets(db, collection.id, keep=1, before=later, keep_tagged=True)
    assert sorted(old) == [1, 2, 3]
    assert drop_old_sets(db, collection.id, old) == 3
    assert versions(five) == [5, 4]
    five.write("hat/last.png", file("hat", 70))
    five.ingest()
    assert versions(five) == [6, 5, 4]
    assert five.problems() == []


def test_a_bad_image_among_queries_is_named_and_the_others_answered(five, tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(file("hat", 99))
    bad.write_bytes(b"nothing")
    results = classify_images(five.session, [bad, good, tmp_path / "absent.png"], "default")
    assert [("error" in result) for result in results] == [True, False, True]
    assert results[1]["verdict"] == "hat"


def test_documents_have_no_prototypes(world):
    world.configure()
    world.write("a.md", "# Title\n\nSome words of a document.")
    world.ingest()
    with pytest.raises(ConfigurationError, match="holds documents"):
        prototyping.show(world.session, "default")


def test_a_collection_without_classes_says_how_to_get_prototypes(world):
    world.write("1.png", file("shoe", 1))
    world.ingest()
    with pytest.raises(PrototypesNotFound, match="no prototypes"):
        prototyping.show(world.session, "default")


def test_another_tenant_sees_no_prototypes(five, tmp_path, database_url):
    with World.open(tmp_path, database_url, tenant="other") as other:
        count = "SELECT (SELECT count(*) FROM prototype) + (SELECT count(*) FROM prototype_set)"
        with other.session.db.connection() as connection:
            assert connection.execute(count).fetchone() == (0,)
        with five.session.db.connection() as connection:
            assert connection.execute(count).fetchone() == (6,)


def test_check_finds_a_prototype_that_was_changed_by_hand(five):
    collection = get_collection(five.session.db, "default")
    blobs = BlobStore(five.session.settings.home, five.session.db.tenant_id)
    assert check_fully(five.session.db, collection, blobs).problems == []
    with five.session.db.connection() as connection:
        connection.execute("UPDATE prototype SET images = 7 WHERE class = 'hat'")
    found = check_fully(five.session.db, collection, blobs).problems
    assert [problem.invariant for problem in found] == [PROTOTYPES]


def test_check_finds_a_set_that_is_not_of_its_images(five):
    with five.session.db.connection() as connection:
        connection.execute(
            "UPDATE activation SET suppressed = true WHERE document_id = "
            "(SELECT id FROM document WHERE uri = 'hat/0.png')"
        )
    collection = get_collection(five.session.db, "default")
    blobs = BlobStore(five.session.settings.home, five.session.db.tenant_id)
    found = {
        problem.invariant: problem.detail
        for problem in check_fully(five.session.db, collection, blobs).problems
    }
    assert found[PROTOTYPES] == "1 classes of version 1 differ"


def test_of_200_classes_one_new_image_touches_one_and_a_rollback_brings_the_bytes_back(world, tmp_path):
    for number in range(200):
        for image in range(2):
            world.write(f"분류 {number:03}/{image}.png", file(f"kind {number}", image, "PNG"))
    world.ingest()
    first = exported(world, tmp_path / "first")
    world.write("분류 017/new.png", file("kind 17", 9))
    report = world.ingest()
    assert report.prototypes is not None
    assert (report.chunks.embedded, report.prototypes.read) == (1, 1)
    assert report.prototypes.changed == ["분류 017"]
    grown = in_use(world)
    assert not prototyping.build(world.session, "default", rebuild=True).made
    assert in_use(world).digest == grown.digest, "what grew is what a rebuild makes, bit for bit"
    prototyping.roll_back(world.session, "default", 1)
    assert exported(world, tmp_path / "again") == first


def damage(world: World, name: str) -> None:
    """A disk, or a hand, gives a class the vectors of another one."""
    with world.session.db.connection() as connection:
        connection.execute(
            "UPDATE prototype SET vectors = (SELECT vectors FROM prototype WHERE class = 'shoe' LIMIT 1) "
            "WHERE class = %s",
            (name,),
        )


def test_a_damaged_prototype_is_not_used_and_a_rebuild_mends_it(five):
    sound = in_use(five)
    damage(five, "hat")
    with pytest.raises(RegistryUnsound, match="--rebuild"):
        in_use(five)
    prototyping.build(five.session, "default", rebuild=True)
    assert in_use(five).digest == sound.digest
    collection = get_collection(five.session.db, "default")
    blobs = BlobStore(five.session.settings.home, five.session.db.tenant_id)
    assert check_fully(five.session.db, collection, blobs).problems == []


def test_a_repair_mends_damaged_prototypes(five):
    damage(five, "hat")
    assert [problem.invariant for problem in check(five.session, "default").problems] == [PROTOTYPES]
    report = check(five.session, "default", repair=True)
    assert report.problems == []
    assert [done.invariant for done in report.repaired] == [PROTOTYPES]


def test_a_damaged_prototype_does_not_spread_to_the_next_set(five):
    damage(five, "hat")
    five.write("나무/new.png", file("나무", 50))
    five.ingest()
    grown = in_use(five).digest
    assert not prototyping.build(five.session, "default", rebuild=True).made
    assert in_use(five).digest == grown


def test_a_chosen_set_stays_although_the_settings_are_others_now(five):
    five.configure(kind="images", model="small-clip", prototypes={"tau1": 0.9})
    five.ingest()
    prototyping.roll_back(five.session, "default", 1)
    five.ingest()
    assert versions(five)[0] == 3
    assert prototyping.build(five.session, "default").version == 4
    assert in_use(five).thresholds.tau1 == 0.9


def test_a_class_that_no_export_can_name_is_left_out_and_named(five, tmp_path):
    for number in range(3):
        five.write(f"__hidden/{number}.png", file("hidden", number))
    report = five.ingest()
    assert report.prototypes is not None
    assert report.prototypes.left_out == {"__hidden": 3}
    assert exported(five, tmp_path / "out")[1]["classes"] == sorted(CLASSES)


def test_a_set_without_classes_is_no_failure(five):
    five.configure(kind="images", model="small-clip", prototypes={"min_images": 9})
    report = five.ingest()
    assert report.prototypes is not None
    assert (report.prototypes.classes, len(report.prototypes.lost)) == (0, 5)
    assert "No picture" in prototypes_markdown(five.session, "default")
    with pytest.raises(PrototypesNotFound, match="no class"):
        prototyping.draw(five.session, "default")
