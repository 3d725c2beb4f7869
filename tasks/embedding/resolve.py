"""The model of a collection, whatever it reads: found by name, loaded on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from schemas.release import Kind
from tasks.embedding.card import ModelCard, resolve_model
from tasks.embedding.image_card import ImageCard, resolve_image_model

if TYPE_CHECKING:
    from tasks.embedding.base import Embedder

Card = ModelCard | ImageCard


def resolve_card(kind: Kind, name: str, *, cache_dir: Path | None = None) -> Card:
    """Find the model for a kind of collection; raises ModelNotAvailable."""
    find = resolve_image_model if kind == "images" else resolve_model
    return find(name, cache_dir=cache_dir)


def load_embedder(card: Card, *, device: str, precision: str) -> Embedder:
    """Load a model; raises ModelNotAvailable, EmbeddingFailed."""
    if isinstance(card, ImageCard):
        from tasks.embedding.image import load_image_embedder

        return load_image_embedder(card, device=device, precision=precision)
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(card, device=device, precision=precision)
