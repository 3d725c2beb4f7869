"""Fake models for both kinds of collections, chosen as the real ones are: by the card."""

from __future__ import annotations

from schemas.settings import Settings
from tasks.embedding.card import DEFAULT_TEXT_MODEL
from tasks.embedding.resolve import Card
from tests.fake_embedder import FakeEmbedder
from tests.fake_image_embedder import FakeImageEmbedder


class FakeModels:
    """What a session loads models with; `texts` and `images` count what they embed.

    `others` are those of other text models than the default one, by name: each has vectors of its own.
    """

    def __init__(self) -> None:
        self.texts = FakeEmbedder(dim=384)
        self.images = FakeImageEmbedder()
        self.others: dict[str, FakeEmbedder] = {}

    def load(self, card: Card, _: Settings) -> FakeEmbedder | FakeImageEmbedder:
        self.images.dim = card.dim
        if card.space().modality == "image":
            return self.images
        if card.name == DEFAULT_TEXT_MODEL:
            return self.texts
        made = FakeEmbedder(name=card.name, revision=card.revision, dim=card.dim)
        return self.others.setdefault(card.name, made)
