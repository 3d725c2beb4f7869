"""A change of the model of an image collection: its prototypes go with it."""

from __future__ import annotations

import shutil

import pytest

from flows import prototyping
from flows.reembedding import reembed_collection
from flows.rollback import LAST, rollback_collection
from registry.collections import get_collection
from registry.prototypes import get_set
from tasks.embedding.image_card import SMALL_FOLDER
from tests.model_changes import change_a_byte, interrupt
from tests.pictures import file


@pytest.fixture
def pictures(world, tmp_path):
    """Two classes of images, with prototypes, and another model."""
    other = shutil.copytree(SMALL_FOLDER, tmp_path / "other-clip")
    change_a_byte(other / "open_clip_model.safetensors")
    world.configure(kind="images", model="small-clip", next={"model": f"local-dir:{other}"})
    for name in ("car", "hat"):
        for number in range(4):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    return world


def _prototypes(world):
    db = world.session.db
    collection = get_collection(db, "default")
    found = get_set(db, collection.id)
    return found, found.space_id == collection.active_space_id


def test_prototypes_are_made_for_the_new_space_and_come_back_with_the_old_one(pictures):
    before, _ = _prototypes(pictures)
    assert reembed_collection(pictures.session, "default").embedded == 8
    new, is_of_it = _prototypes(pictures)
    assert is_of_it
    assert new.space_id != before.space_id
    rollback_collection(pictures.session, "default", LAST)
    back, is_of_it = _prototypes(pictures)
    assert (is_of_it, back.digest) == (True, before.digest)
    rollback_collection(pictures.session, "default", LAST)
    forth, is_of_it = _prototypes(pictures)
    assert (is_of_it, forth.digest) == (True, new.digest)
    assert pictures.image_embedder.embedded == 16


def test_a_kill_between_the_switch_and_the_prototypes_is_made_good_by_the_next_call(pictures, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("flows.reembedding.refresh", interrupt)
        with pytest.raises(KeyboardInterrupt):
            reembed_collection(pictures.session, "default")
    assert not _prototypes(pictures)[1]
    assert reembed_collection(pictures.session, "default").state == "unchanged"
    assert _prototypes(pictures)[1]
    assert prototyping.show(pictures.session, "default")["is_current"]
