"""Images are classified by the model that their prototypes were made with, also while it is being changed."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from flows.classifying import classify_images
from flows.prototyping import refresh
from flows.reembedding import reembed_collection
from flows.rollback import LAST, rollback_collection
from registry.collections import get_collection
from registry.prototypes import get_set
from schemas.errors import SpaceMismatch
from tasks.embedding.image_card import SMALL_FOLDER
from tests.pictures import file


@pytest.fixture
def pictures(world, tmp_path):
    """Two classes of images, with prototypes, and another model that the settings name as the next one."""
    other = shutil.copytree(SMALL_FOLDER, tmp_path / "other-clip")
    weights = bytearray((other / "open_clip_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "open_clip_model.safetensors").write_bytes(weights)
    world.next = {"model": f"local-dir:{other}"}
    world.configure(kind="images", model="small-clip", next=world.next)
    for name in ("car", "hat"):
        for number in range(4):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    (tmp_path / "new.png").write_bytes(file("hat", 99))
    return world


def _classify(world, path, **options):
    """The class of the image, and whether the model that said so is the next one."""
    loaded = []

    def load(card, settings):
        loaded.append(card.space().model.endswith("other-clip"))
        return world.models.load(card, settings)

    (result,) = classify_images(replace(world.session, load_embedder=load), [path], "default", **options)
    (is_next,) = loaded
    return result["verdict"], is_next


def _stop(*_, **__):
    raise KeyboardInterrupt


def _kill_after_the_switch(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("flows.reembedding.refresh", _stop)
        with pytest.raises(KeyboardInterrupt):
            reembed_collection(world.session, "default")


def _is_of_active_space(world):
    collection = get_collection(world.session.db, "default")
    return get_set(world.session.db, collection.id).space_id == collection.active_space_id


def test_between_the_switch_and_its_prototypes_those_before_are_used_with_their_own_model(
    pictures, tmp_path, monkeypatch
):
    seen = []

    def classify_first(session, name, **options):
        seen.append((_is_of_active_space(pictures), *_classify(pictures, tmp_path / "new.png")))
        return refresh(session, name, **options)

    monkeypatch.setattr("flows.reembedding.refresh", classify_first)
    reembed_collection(pictures.session, "default")
    assert seen == [(False, "hat", False)]
    assert _classify(pictures, tmp_path / "new.png") == ("hat", True)


def test_a_reembed_that_was_killed_after_the_switch_leaves_classes_that_can_be_used(
    pictures, tmp_path, monkeypatch
):
    _kill_after_the_switch(pictures, monkeypatch)
    assert not _is_of_active_space(pictures)
    assert _classify(pictures, tmp_path / "new.png") == ("hat", False)
    reembed_collection(pictures.session, "default")
    assert _classify(pictures, tmp_path / "new.png") == ("hat", True)


def test_after_a_rollback_each_set_is_used_with_its_own_model(pictures, tmp_path, monkeypatch):
    reembed_collection(pictures.session, "default")
    with monkeypatch.context() as patch:
        patch.setattr("flows.rollback.refresh", _stop)
        with pytest.raises(KeyboardInterrupt):
            rollback_collection(pictures.session, "default", LAST)
    assert _classify(pictures, tmp_path / "new.png") == ("hat", True)
    rollback_collection(pictures.session, "default", "1")
    reembed_collection(pictures.session, "default")
    rollback_collection(pictures.session, "default", "1")
    assert _classify(pictures, tmp_path / "new.png") == ("hat", False)
    assert _classify(pictures, tmp_path / "new.png", version=2) == ("hat", True)


def test_a_set_whose_model_is_configured_no_more_is_refused(pictures, tmp_path, monkeypatch):
    _kill_after_the_switch(pictures, monkeypatch)
    pictures.configure(kind="images", model=pictures.next["model"])
    with pytest.raises(SpaceMismatch, match="Version 1 of the prototypes holds vectors of") as refused:
        classify_images(pictures.session, [tmp_path / "new.png"], "default")
    assert "prototypes build" in refused.value.advice
