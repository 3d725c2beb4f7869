"""What a change of the embedding model did, and how the two spaces compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two spaces of a collection, asked the same.

    Attributes:
        queries: how many were asked: canary queries, and texts of chunks, which are no hit of their own.
        k: how many hits of each were compared.
        overlap: mean share of hits that both spaces have; 0 to 1. Two good models may well differ in half.
        recall: share of the exact nearest neighbours that a search of the new space finds; 0 to 1.
    """

    queries: int
    k: int
    overlap: float
    recall: float


@dataclass(slots=True)
class ReembedReport:
    """What a reembed did.

    Attributes:
        run_id: of the run.
        collection: its name.
        model_before, model_after: names, with how vectors are stored where that is not float32.
        is_same_model: only how vectors are stored, or indexed, differs.
        state: succeeded, or unchanged: it is that space already.
        release: its number; None where none came of it.
        digest: of the release.
        chunks: that are shown, each once.
        kept: chunks that had a vector in the new space before: an earlier try, or an earlier use of it.
        embedded: chunks that the model embedded.
        tokens: of these chunks, as the model counted that they were cut for; 0 for images.
        converted: chunks whose vector was only stored in another way, the model being the same.
        truncated: chunks with more tokens than the new model reads, counted as the old one did.
        comparison: None where there was nothing to ask, or the old model is not here.
        paused: seconds that it stood back for searches.
        switch_seconds: how long the switching transaction took.
        seconds: wall time by stage.
    """

    run_id: str
    collection: str
    model_before: str
    model_after: str
    is_same_model: bool = False
    state: str = "unchanged"
    release: int | None = None
    digest: str | None = None
    chunks: int = 0
    kept: int = 0
    embedded: int = 0
    tokens: int = 0
    converted: int = 0
    truncated: int = 0
    comparison: Comparison | None = None
    paused: float = 0.0
    switch_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
