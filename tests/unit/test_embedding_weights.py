"""What a loaded text model computes with is what its files held when it was loaded."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import ModelNotAvailable
from tasks.embedding.card import resolve_model
from tests.model_folders import build_tiny_model, tiny_weights

pytestmark = pytest.mark.model

TEXTS = ["Storks nest on chimneys.", "환불 규정", "lease " * 40]


@pytest.fixture
def folder(tmp_path):
    return build_tiny_model(tmp_path / "tiny")


def _load(folder, **options):
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(resolve_model(str(folder)), device="cpu", **options)


def _write_over(folder):
    """Other weights into the same file, as a copy to a network drive does, and not another file."""
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(tiny_weights(folder, seed=1))


def test_weights_that_are_written_over_in_place_change_no_loaded_model(folder):
    embedder = _load(folder, precision="float32")
    before = embedder.embed(TEXTS)
    _write_over(folder)
    assert np.array_equal(embedder.embed(TEXTS), before)
    assert not np.allclose(_load(folder, precision="float32").embed(TEXTS), before, atol=0.1)


def test_a_model_that_is_loaded_again_has_the_weights_of_its_card_or_is_refused(folder):
    embedder = _load(folder, precision="bfloat16")
    expected = embedder.reference()
    embedder.settle(expected)
    _write_over(folder)
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        embedder.reference()
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        embedder.settle(-expected)
