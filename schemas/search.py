"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SearchMode = Literal["hybrid", "vector", "keyword"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One chunk found.

    Attributes:
        score: hybrid: reciprocal rank fusion; vector: cosine; keyword: BM25. Higher is better.
        uri, source, version, page, heading, title: of the first document that the chunk is shown for.
        release: the one that was searched; all the rest is as it showed it.
        documents: uris of all its documents that contain the chunk; those that are kept out of search
            as near-duplicates come last.
        duplicates: uris of its documents that are near-duplicates of one that the chunk is shown for,
            whether they contain the chunk or not.
        author, authored_at, language, tags: of the document of `uri`.
        format: name of the parser that read it.
    """

    score: float
    uri: str
    source: str
    version: int
    release: int
    text: str
    page: int | None
    heading: str
    title: str | None
    documents: tuple[str, ...]
    duplicates: tuple[str, ...] = ()
    author: str | None = None
    authored_at: datetime | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    format: str = ""
