"""The model of a collection, whatever its kind: its card, and the embedder itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schemas.errors import ModelNotAvailable
from schemas.release import Kind
from schemas.settings import EndpointSettings
from tasks.embedding.base import Embedder
from tasks.embedding.card import DEFAULT_TEXT_MODEL, ModelCard, require_unchanged, resolve_model
from tasks.embedding.endpoint_card import PREFIX, EndpointCard, resolve_endpoint
from tasks.embedding.image_card import SHORT_NAMES, SMALL_IMAGE_MODEL, ImageCard, resolve_image_model

Card = ModelCard | ImageCard


def resolve_card(
    kind: Kind,
    name: str,
    *,
    endpoints: Mapping[str, EndpointSettings] | None = None,
    cache_dir: Path | None = None,
) -> Card:
    """Find the model of a collection of that kind by its name; no framework is imported.

    Args:
        kind: of the collection.
        name: as configured; ``endpoint:NAME`` is one of `endpoints`.
        endpoints: those that are configured, by name.
        cache_dir: hub cache; None means the hub library's own.

    Raises:
        ConfigurationError: no such endpoint is configured, or it is to embed images.
        ModelNotAvailable: no such model here and none to be fetched, within seconds; or it is known to be
            of the other kind.
    """
    if name.startswith(PREFIX):
        return resolve_endpoint(kind, name.removeprefix(PREFIX), endpoints or {}, cache_dir=cache_dir)
    if kind == "images":
        return resolve_image_model(name, cache_dir=cache_dir)
    if name in (SMALL_IMAGE_MODEL, *SHORT_NAMES):
        raise ModelNotAvailable(
            f"{name} is an image model, and the collection holds documents.",
            advice=f"Name a text model, such as {DEFAULT_TEXT_MODEL}.",
            model=name,
        )
    return resolve_model(name, cache_dir=cache_dir)


def load_embedder(card: Card, *, device: str = "auto", precision: str = "auto") -> Embedder:
    """Load the model of a card; see `load_text_embedder`, `load_image_embedder`, `EndpointEmbedder`.

    All runs and searches load their models here, also those that keep them in memory: what is handed over
    is the model that the card was read of.

    Raises:
        ModelNotAvailable: the folder cannot be loaded, or was changed since the card was read.
        EmbeddingFailed: our path does not give the library's vectors for this model.
    """
    if isinstance(card, EndpointCard):  # no weights here, and its revision is the operator's word
        from tasks.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder(card)
    if "," in device or device == "cuda:*":
        from tasks.embedding.several import load_several

        return load_several(card, device=device, precision=precision)
    embedder = _load_files(card, device=device, precision=precision)
    require_unchanged(card)
    return embedder


def _load_files(card: Card, *, device: str, precision: str) -> Embedder:
    if isinstance(card, ImageCard):
        from tasks.embedding.image import load_image_embedder

        return load_image_embedder(card, device=device, precision=precision)
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(card, device=device, precision=precision)
