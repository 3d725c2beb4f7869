"""Texts as token ids: made ahead of the device, in another thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 512
"""Texts handed to the library together: it keeps about 15 kB for each until its ids were read."""


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """Token ids of N texts, one text after another: 4 bytes a token.

    Attributes:
        ids: (tokens + 1,) int32; the last one is of no text.
        starts: (N,) int64, where each text begins.
        lengths: (N,) int64, tokens of each text.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]] | Sequence[NDArray[np.int32]]) -> TokenWindow:
        """The window of texts whose ids are known."""
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        total = int(lengths.sum())
        ids = np.zeros(total + 1, dtype=np.int32)
        ids[:total] = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=total)
        return cls(ids, np.cumsum(lengths) - lengths, lengths)

    def take(self, rows: NDArray[np.int64]) -> TokenWindow:
        """The window of some of the texts: (B,) which ones, in that order."""
        lengths = self.lengths[rows]
        starts = np.cumsum(lengths) - lengths
        places = np.arange(int(lengths.sum())) + np.repeat(self.starts[rows] - starts, lengths)
        return TokenWindow(np.append(self.ids[places], self.ids[-1:]), starts, lengths)

    def pad(
        self, rows: NDArray[np.int64], pad_id: int, *, left: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Some of the texts as the rectangle a model takes.

        Args:
            rows: (B,) which texts.
            pad_id: what fills up short ones.
            left: fill up in front.

        Returns:
            (B, longest) ids, and 1 where they are of a text, 0 where they fill up.
        """
        lengths = self.lengths[rows][:, None]
        width = max(1, int(lengths.max(initial=0)))
        places = np.arange(width)[None, :] - (width - lengths if left else 0)
        is_text = (places >= 0) & (places < lengths)
        ids = self.ids[np.where(is_text, self.starts[rows][:, None] + places, -1)]
        return np.where(is_text, ids, pad_id).astype(np.int64), is_text.astype(np.int64)


class TextTokenizer:
    """A model's tokenizer, cut off at its limit, without padding. May be used in any one thread at a time.

    Args:
        tokenizer: of transformers; a copy is taken, for the library changes truncation and padding of
            its own per call.
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int(tokenizer.model_max_length))
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.pads_left = tokenizer.padding_side == "left"
        self.has_type_ids = "token_type_ids" in tokenizer.model_input_names

    def tokenize(self, texts: Sequence[str], prompt: str = "") -> TokenWindow:
        """Token ids of the texts, the prompt before each; the library works on all cores, without the GIL."""
        return TokenWindow.of(list(self._rows(texts, prompt)))

    def _rows(self, texts: Sequence[str], prompt: str) -> Iterator[NDArray[np.int32]]:
        for start in range(0, len(texts), _AT_ONCE):
            batch = [prompt + text.strip() for text in texts[start : start + _AT_ONCE]]
            for one in self._tokenizer.encode_batch_fast(batch):
                yield np.array(one.ids, dtype=np.int32)
