"""Counting tokens with the embedding model's own tokenizer, without its framework."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from schemas.errors import ModelNotAvailable
from tasks.chunking.words import WordCounter, looks_at_words_alone

# encode_batch keeps an Encoding per text alive; slices bound that memory.
_BATCH = 4096


class TokenCounter:
    """Counts tokens as the model sees them, special tokens not counted."""

    def __init__(self, tokenizer: Tokenizer, identity: str) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.identity = identity
        self._count = self._count_whole
        if looks_at_words_alone(tokenizer):
            self._count = WordCounter(tokenizer, self._count_whole).count

    @classmethod
    def for_model(cls, folder: Path) -> TokenCounter:
        """The counter of the model in a folder.

        Raises:
            ModelNotAvailable: the folder holds no tokenizer that can be read.
        """
        path = folder / "tokenizer.json"
        serialised = path.read_bytes() if path.is_file() else _convert_tokenizer(folder)
        digest = hashlib.blake2b(serialised, digest_size=16).hexdigest()
        try:
            tokenizer = Tokenizer.from_buffer(serialised)
        except Exception as exc:  # tokenizers raises bare Exception and ValueError
            raise ModelNotAvailable(
                f"The tokenizer in {folder} cannot be read: {exc}.",
                advice="Download the model again, or use the default model.",
            ) from exc
        return cls(tokenizer, f"tokenizer:{digest}")

    @property
    def special_tokens(self) -> int:
        """How many tokens the model adds to each text."""
        return int(self._tokenizer.num_special_tokens_to_add(False))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order; no limit is applied."""
        return self._count(texts)

    def _count_whole(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            encoded = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            counts.extend(map(len, encoded))
        return counts


def _convert_tokenizer(folder: Path) -> bytes:
    """tokenizer.json of a model that ships only a vocabulary (imports transformers)."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
        return str(tokenizer.backend_tokenizer.to_str()).encode()
    except (OSError, ValueError, AttributeError, ImportError) as exc:
        raise ModelNotAvailable(
            f"The model in {folder} has no tokenizer that can be loaded: {exc}.",
            advice="Download the whole model folder again, or use the default model.",
        ) from exc
