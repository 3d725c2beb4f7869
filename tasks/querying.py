"""A search query: its vector, and how far the model's vectors can be trusted with it."""

from __future__ import annotations

from tasks.chunking.tokens import TokenCounter

MAX_FERTILITY = 4.0
"""Tokens per word above which a tokenizer does not know the language it reads.

English under MiniLM has about 1.3, Korean under a Korean or multilingual model 2 to 3,
Korean under MiniLM 6 to 9: its vectors of Korean are noise. Source of the measure: Rust et
al., "How good is your tokenizer?", ACL 2021.
"""
UNTRUSTED_WEIGHT = 0.01


def vector_weight(text: str, counter: TokenCounter) -> float:
    """Weight of the vector side in fusion: 1, or next to nothing for a foreign language.

    Then keyword hits keep their order and vectors only fill the places that are left.
    """
    words = text.split()
    if not words:
        return 1.0
    fertility = counter.count([text])[0] / len(words)
    return 1.0 if fertility <= MAX_FERTILITY else UNTRUSTED_WEIGHT
