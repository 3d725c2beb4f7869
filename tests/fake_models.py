"""Fake models for both kinds of collections, chosen as the real ones are: by the card."""

from __future__ import annotations

from schemas.settings import Settings
from tasks.embedding.resolve import Card
from tests.fake_embedder import FakeEmbedder
from tests.fake_image_embedder import FakeImageEmbedder


class FakeModels:
    """What a session loads models with; `texts` and `images` count what they embed."""

    def __init__(self) -> None:
        self.texts = FakeEmbedder(dim=384)
        self.images = FakeImageEmbedder()

    def load(self, card: Card, _: Settings) -> FakeEmbedder | FakeImageEmbedder:
        self.images.dim = card.dim
        return self.images if card.space().modality == "image" else self.texts
