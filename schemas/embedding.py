"""Embedding spaces: what makes vectors comparable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

Dtype = Literal["vector", "halfvec", "bit"]
"""How vectors are stored and indexed: float32; float16; float16 with an index of signs, whose hits are
ranked again by the stored vectors."""

MAX_INDEXED_DIM: dict[str, int] = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000}
"""What HNSW takes (pgvector 0.8)."""

MAX_STORED_DIM = 16_000
"""What a column of pgvector takes."""

DEFAULT_M, DEFAULT_EF_CONSTRUCTION = 16, 64
"""Of HNSW, as pgvector has them."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Two vectors may be compared only if their spaces are equal.

    Attributes:
        modality: "text" or "image".
        provider: library that runs the model.
        model: name as configured, without a machine's paths.
        revision: what identifies the weights.
        dim: length of a vector.
        dtype: how vectors are stored and indexed, see `Dtype`.
        document_prompt, query_prompt: text put before documents and queries.
        m, ef_construction: parameters of the HNSW index.
    """

    modality: str
    provider: str
    model: str
    revision: str
    dim: int
    dtype: Dtype = "vector"
    normalised: bool = True
    document_prompt: str = ""
    query_prompt: str = ""
    m: int = DEFAULT_M
    ef_construction: int = DEFAULT_EF_CONSTRUCTION

    @property
    def fingerprint(self) -> bytes:
        """sha256 over all fields; parameters of the index only where they are not the default."""
        facts = asdict(self)
        for name, default in (("m", DEFAULT_M), ("ef_construction", DEFAULT_EF_CONSTRUCTION)):
            if facts[name] == default:
                del facts[name]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()

    @property
    def column_type(self) -> str:
        """Type of the column in the database."""
        return "vector" if self.dtype == "vector" else "halfvec"

    def has_same_vectors(self, other: EmbeddingSpace) -> bool:
        """Whether a text has the same vector in both, but for its storage and index."""
        plain = {"dtype": "vector", "m": DEFAULT_M, "ef_construction": DEFAULT_EF_CONSTRUCTION}
        return replace(self, **plain) == replace(other, **plain)  # type: ignore[arg-type]

    def converts_to(self, other: EmbeddingSpace) -> bool:
        """Whether what is stored here, stored as in the other space, is what embedding would store there.

        float16 is float32 rounded, so it does not become float32 again.
        """
        is_rounded = self.column_type == "halfvec" and other.column_type == "vector"
        return self.has_same_vectors(other) and not is_rounded

    def describe(self, *others: EmbeddingSpace) -> str:
        """Model and revision; with how it is indexed, where another space is the same but for that."""
        stored = "" if self.dtype == "vector" else f", {self.dtype}"
        if any(self.has_same_vectors(other) for other in others):
            stored = f", {self.dtype}, m {self.m}, ef_construction {self.ef_construction}"
        return f"{self.model} ({self.revision}{stored})"
