"""Embedding spaces: what makes vectors comparable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Two vectors may be compared only if their spaces are equal.

    Attributes:
        modality: "text" or "image".
        provider: library that runs the model.
        model: name as configured, without a machine's paths.
        revision: what identifies the weights.
        dim: length of a vector.
        dtype: column type in the database ("vector" is float32).
        document_prompt, query_prompt: text put before documents and queries.
    """

    modality: str
    provider: str
    model: str
    revision: str
    dim: int
    dtype: str = "vector"
    normalised: bool = True
    document_prompt: str = ""
    query_prompt: str = ""

    @property
    def fingerprint(self) -> bytes:
        """sha256 over all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()
