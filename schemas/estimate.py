"""What embedding is going to cost: counted where it can be, foreseen from the past where not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Basis = Literal["counted", "collection", "typical"]
"""Where a number of texts is from: counted; the collection's own documents; documents as they usually are."""


class FormatSizes(NamedTuple):
    """What documents of one format have made of their bytes.

    Attributes:
        format: the ending of their names, in small letters; "" where there is none.
        documents, size: how many, and their bytes.
        chunks, tokens: what of them is searched.
    """

    format: str
    documents: int
    size: int
    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model embeds here, by the last runs.

    Attributes:
        texts_per_s: chunks or images a second.
        tokens_per_s: tokens a second; None for images, and where no run has counted them.
        load_s: seconds to load it.
    """

    texts_per_s: float
    tokens_per_s: float | None = None
    load_s: float = 0.0

    def seconds(self, texts: int, tokens: int) -> float:
        """How long that much takes; nothing takes nothing.

        >>> Speed(texts_per_s=10, tokens_per_s=1000, load_s=2).seconds(5, 4000)
        6.0
        >>> Speed(texts_per_s=10, load_s=2).seconds(5, 0)
        2.5
        """
        if not texts:
            return 0.0
        by_tokens = self.tokens_per_s is not None and tokens > 0
        spent = tokens / self.tokens_per_s if by_tokens and self.tokens_per_s else texts / self.texts_per_s
        return self.load_s + spent


@dataclass(frozen=True, slots=True)
class Estimate:
    """What there is to embed.

    Attributes:
        texts: chunks, or images.
        tokens: of these chunks, as the model counts that they are cut for; 0 for images.
        seconds: how long it takes by the last runs, loading the model included; None where none is known.
        basis: where `texts` and `tokens` are from.
        at_most: whether part of it may turn out to have its vector already.
    """

    texts: int = 0
    tokens: int = 0
    seconds: float | None = None
    basis: Basis = "counted"
    at_most: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        data = asdict(self)
        data["seconds"] = None if self.seconds is None else round(self.seconds, 1)
        return data


@dataclass(frozen=True, slots=True)
class ReembedPlan:
    """What a reembed would do.

    Attributes:
        collection: its name.
        model_before, model_after: names, with how vectors are stored where that is not float32.
        chunks: that are shown, each once.
        kept: those that have a vector in the new space.
        converted: those whose vector would only be stored in another way, the model being the same.
        estimate: what would be embedded.
        truncated: chunks with more tokens than the new model reads.
        is_change: whether it is another space at all.
    """

    collection: str
    model_before: str
    model_after: str
    chunks: int = 0
    kept: int = 0
    converted: int = 0
    estimate: Estimate = Estimate(seconds=0.0)
    truncated: int = 0
    is_change: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "estimate": self.estimate.as_json(), "dry_run": True}
