"""Counting tokens word by word, where a tokenizer looks at each word alone: most words were met before."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

KEPT_WORDS = 1 << 17
"""Counts that are remembered, about 15 MB of them and what one more call adds; then all are forgotten."""
KEPT_BYTES = 48
"""Longer words are not remembered: they are keys and stretches of Chinese, met once."""

_SIGNS = string.punctuation.encode()
_DROPPED = (b"\x0b", b"\x0c")
"""White space to `bytes.split`; the tokenizers drop it."""
_SIGNS_TO_SPACES = bytes.maketrans(_SIGNS, b" " * len(_SIGNS))

Count = Callable[[Sequence[str]], list[int]]


def looks_at_words_alone(tokenizer: Tokenizer) -> bool:
    """Whether a text has the tokens of its words and one for each ASCII sign, and no others.

    True of BERT's tokenizers: they change characters one by one (a combining mark never moves over
    a space or a sign), and divide at white space and around signs before they look for tokens.
    Special tokens are the exception; they are found as they are written.
    """
    return (
        isinstance(tokenizer.normalizer, BertNormalizer | None)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and isinstance(tokenizer.model, WordPiece)
        and tokenizer.token_to_id(tokenizer.model.unk_token) is not None  # without it, some texts are errors
        and not any(special.normalized for special in tokenizer.get_added_tokens_decoder().values())
    )


class WordCounter:
    """Counts tokens of texts by their words. For several threads: at worst a word is counted twice.

    Args:
        tokenizer: one that `looks_at_words_alone`.
        count: tokens of each text, by that tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, count: Count) -> None:
        self._count = count
        self._kept: dict[bytes, int] = {}
        specials = tokenizer.get_added_tokens_decoder().values()
        self._undivided = (*(special.content.encode() for special in specials), *_DROPPED)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order: what `count` gives."""
        data = [text.encode() for text in texts]
        words = [each.translate(_SIGNS_TO_SPACES).split() for each in data]
        known = self._look_up(set().union(*words))
        counts = [
            sum(map(known.__getitem__, own)) + len(each) - len(each.translate(None, _SIGNS))
            for own, each in zip(words, data, strict=True)
        ]
        everything = b"\n".join(data)
        odd = [stretch for stretch in self._undivided if stretch in everything]
        if odd:
            numbers = [n for n, each in enumerate(data) if any(stretch in each for stretch in odd)]
            for number, tokens in zip(numbers, self._count([texts[n] for n in numbers]), strict=True):
                counts[number] = tokens
        return counts

    def _look_up(self, words: set[bytes]) -> dict[bytes, int]:
        kept = self._kept
        known = {word: kept[word] for word in words if word in kept}
        new = [word for word in words if word not in known]
        fresh = dict(zip(new, self._count([word.decode() for word in new]), strict=True))
        kept.update((word, tokens) for word, tokens in fresh.items() if len(word) <= KEPT_BYTES)
        if len(kept) > KEPT_WORDS:
            self._kept = {}
        return known | fresh
