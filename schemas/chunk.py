"""Chunks: the pieces of text that get a vector."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

ChunkKind = Literal["text", "table", "code", "image"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one document version.

    Attributes:
        text: what is embedded and shown.
        kind: text, table, code or image.
        tokens: length in the embedding model's tokens, special tokens not counted.
        start, end: character span in the version's cleaned text. The text of a table that
            was split repeats its header row, so it can be longer than its span.
        page: page of the first character, None where the format has none.
        heading: heading path at the first character, or the symbol name of code.
        content: of an image the sha256 of its file, which is what is embedded; its text is class and
            caption. Empty for everything else.
    """

    text: str
    kind: ChunkKind
    tokens: int
    start: int
    end: int
    page: int | None
    heading: str
    content: bytes = b""

    @property
    def hash(self) -> bytes:
        """16 bytes that identify the chunk inside its collection."""
        return chunk_hash(self.text, self.kind, self.content)


def chunk_hash(text: str, kind: ChunkKind, content: bytes = b"") -> bytes:
    """BLAKE2b-128 of kind, content and text (a chunk of code and equal prose are two chunks)."""
    return hashlib.blake2b(content + text.encode(), digest_size=16, person=kind.encode()).digest()


@dataclass(frozen=True, slots=True)
class ChunkingPolicy:
    """Parameters of the cut; all of them are part of the pipeline fingerprint.

    Attributes:
        max_tokens: no chunk is longer, in tokens of the embedding model.
        min_tokens: no cut before this many, except at the end of a document or around
            tables and code definitions.
        tokenizer: identity of the tokenizer that counts.
    """

    max_tokens: int
    min_tokens: int
    tokenizer: str
