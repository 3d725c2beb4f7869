"""Folders of images: classes, sidecars, duplicates, rejections, the same releases as documents."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.rollback import rollback_collection
from registry.collections import get_collection
from registry.members import count_classes
from schemas.errors import ConfigurationError
from tests.pictures import encoded, file, picture
from tests.world import World

CLASSES = ("고양이", "자동차", "shoe")


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with World.open(tmp_path, database_url) as world:
        world.configure(kind="images", model="small-clip")
        yield world


def write_classes(world: World, numbers: range = range(4)) -> None:
    for name in CLASSES:
        for number in numbers:
            world.write(f"{name}/{number}.png", file(name, number))


def classes(world: World) -> dict[str, int]:
    collection = get_collection(world.session.db, "default")
    return count_classes(world.session.db, collection.id, collection.current_release)


def test_a_folder_is_a_class_and_every_image_one_chunk(world):
    write_classes(world)
    report = world.ingest()
    assert report.documents.added == report.chunks.embedded == world.image_embedder.embedded == 12
    assert classes(world) == dict.fromkeys(CLASSES, 4)
    assert world.problems() == []
    again = world.ingest()
    assert (again.state, world.image_embedder.embedded) == ("unchanged", 12)


def test_class_names_are_nfc_whatever_the_file_system_says(world):
    decomposed = unicodedata.normalize("NFD", "고양이")
    world.write(f"{decomposed}/1.png", file("고양이", 1))
    world.write("고양이/2.png", file("고양이", 2))
    world.ingest()
    assert classes(world) == {"고양이": 2}


def test_a_flat_folder_has_no_classes_and_can_be_searched(world):
    for number in range(3):
        world.write(f"{number}.png", file("shoe", number))
    report = world.ingest()
    assert report.documents.added == 3
    assert classes(world) == {}
    assert report.prototypes is not None
    assert report.prototypes.version is None
    assert world.similar("1.png")[0].uri == "1.png"


def test_an_image_that_moves_to_another_class_keeps_its_vector(world):
    write_classes(world)
    world.ingest()
    world.configure(kind="images", model="small-clip", gate={"max_lost_classes": 1})
    (world.folder / "shoe").rename(world.folder / "boot")
    report = world.ingest()
    assert (report.documents.moved, report.chunks.embedded) == (4, 0)
    assert world.image_embedder.embedded == 12
    assert classes(world) == {"고양이": 4, "boot": 4, "자동차": 4}
    assert world.problems() == []


def test_a_caption_is_found_by_its_words_and_a_new_one_costs_no_embedding(world):
    world.write("shoe/1.png", file("shoe", 1))
    world.write("shoe/1.txt", "빨간 운동화, size 270")
    world.write("shoe/2.png", file("shoe", 2))
    assert world.ingest().documents.added == 2
    assert [hit.uri for hit in world.keyword("운동화")] == ["shoe/1.png"]
    world.write("shoe/1.txt", "파란 구두")
    report = world.ingest()
    assert (report.documents.changed, report.chunks.embedded, world.image_embedder.embedded) == (1, 0, 2)
    assert world.keyword("운동화") == []
    assert [hit.uri for hit in world.keyword("구두")] == ["shoe/1.png"]
    (world.folder / "shoe/1.txt").unlink()
    assert world.ingest().documents.changed == 1
    assert world.keyword("구두") == []
    assert world.problems() == []


def test_a_sidecar_may_name_the_class_and_metadata(world):
    world.write("1.png", file("shoe", 1))
    world.write("1.json", json.dumps({"caption": "운동화", "class": "신발", "author": "Kim", "color": "red"}))
    world.ingest()
    assert classes(world) == {"신발": 1}
    hit = world.keyword("운동화")[0]
    assert hit.author == "Kim"


def test_a_damaged_sidecar_rejects_its_image_and_says_so(world):
    world.write("shoe/1.png", file("shoe", 1))
    world.write("shoe/1.json", "{")
    world.write("shoe/2.png", file("shoe", 2))
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 1)
    assert "sidecar" in world.rejections()["shoe/1.png"].message


def test_images_in_an_archive_have_the_classes_of_its_folders(world):
    source = world.folder / "made"
    for name in ("boot", "hat"):
        (source / name).mkdir(parents=True)
        for number in range(2):
            (source / name / f"{number}.png").write_bytes(file(name, number))
    (source / "hat/1.txt").write_text("중절모")
    shutil.make_archive(str(world.folder / "photos"), "zip", source)
    shutil.rmtree(source)
    world.ingest()
    assert classes(world) == {"boot": 2, "hat": 2}
    assert [hit.uri for hit in world.keyword("중절모")] == ["photos.zip/hat/1.png"]
    assert world.ingest().state == "unchanged"


def test_a_copy_of_an_image_is_hidden_in_its_class_and_stays_in_another(world):
    image = picture("shoe", 1, side=200, patches=24)
    world.write("shoe/a.png", encoded(image))
    world.write("shoe/b.jpg", encoded(image.resize((150, 150)), "JPEG", quality=80))
    world.write("boot/c.png", encoded(image))
    report = world.ingest()
    assert report.documents.duplicate == 1
    assert classes(world) == {"boot": 1, "shoe": 1}
    assert world.image_embedder.embedded == 1, "equal images in two classes are embedded once"
    assert world.problems() == []


BAD = {
    "truncated.png": lambda: encoded(picture("shoe"))[:-200],
    "truncated.jpg": lambda: encoded(picture("shoe", side=300), "JPEG")[:-400],
    "empty.png": lambda: b"",
    "words.jpg": lambda: b"this is no image at all, but a text of some length",
    "page.png": lambda: b"<html><body>404 not found</body></html>",
    "noise.png": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
}


def test_bad_images_are_rejected_with_a_reason_and_the_run_completes(world):
    write_classes(world)
    for name, make in BAD.items():
        world.write(f"shoe/{name}", make())
    report = world.ingest()
    assert report.state == "succeeded"
    assert report.documents.added == 12
    assert set(world.rejections()) == {f"shoe/{name}" for name in BAD}
    assert all(rejection.message for rejection in world.rejections().values())
    assert world.ingest().state == "unchanged"


def test_documents_do_not_go_into_an_image_collection_nor_images_into_documents(world):
    write_classes(world)
    world.ingest()
    with pytest.raises(ConfigurationError, match="holds images"):
        world.ingest(kind="documents")
    world.write("shoe/readme.md", "# Shoes")
    world.ingest()
    assert "no image" in world.rejections()["shoe/readme.md"].message


def test_rollback_brings_images_back_without_embedding(world):
    write_classes(world)
    first = world.ingest()
    world.write("shoe/9.png", file("shoe", 9))
    (world.folder / "shoe/0.png").unlink()
    world.ingest()
    paid = world.image_embedder.embedded
    report = rollback_collection(world.session, "default", "1")
    assert (report.digest, world.image_embedder.embedded) == (first.digest, paid)
    assert classes(world)["shoe"] == 4
    assert world.problems() == []


def test_one_image_of_a_folder_can_be_ingested_with_its_caption(world):
    world.write("shoe/1.png", file("shoe", 1))
    world.write("shoe/1.txt", "운동화")
    world.write("shoe/2.png", file("shoe", 2))
    world.ingest()
    report = world.ingest(world.folder / "shoe/1.png")
    assert report.state == "unchanged"
    assert [hit.uri for hit in world.keyword("운동화")] == ["shoe/1.png"]


def test_a_plan_names_images_and_writes_nothing(world):
    write_classes(world)
    plan = world.plan(kind="images")
    assert len(plan.added) == 12
    assert world.problems() == []
