"""Documents made up for chunking tests: seeded, in Korean and English."""

from __future__ import annotations

import random

from schemas.document import Block, CleanDocument, ElementKind

_SYLLABLES = (
    "가나다라마바사아자차고구기대도동로리명무문민방보부분비상서선성세소수시신안약어업연영용원위유은의이인일입장재전정"
    "제조주중지진천청체치통판평표하학한해행현형호화환회"
)
_PARTICLES = ("은", "는", "이", "가", "을", "를", "에", "에서", "으로", "와", "의", "도", "")
_ENDINGS = ("했다.", "한다.", "합니다.", "됩니다.", "있다.", "없다.", "인가요?", "해요.")
_ENGLISH_TEXT = (
    "the contract refund policy of a customer and its controller retries index version release "
    "document table sentence with after before under shall may storage write query backup node"
)
_ENGLISH = _ENGLISH_TEXT.split()


def make_words(rng: random.Random, count: int = 2000) -> list[str]:
    """Korean nouns, more or less."""
    return ["".join(rng.choices(_SYLLABLES, k=rng.choice((2, 2, 3, 3, 4)))) for _ in range(count)]


def make_korean(rng: random.Random, words: list[str]) -> str:
    """A sentence of 3 to 30 words, about 35 syllables."""
    length = max(3, min(30, int(rng.lognormvariate(2.1, 0.45))))
    parts = [rng.choice(words) + rng.choice(_PARTICLES) for _ in range(length)]
    return " ".join(parts) + " " + rng.choice(words) + rng.choice(_ENDINGS)


def make_english(rng: random.Random, words: list[str] | None = None) -> str:
    """A sentence of 3 to 50 words."""
    length = max(3, min(50, int(rng.lognormvariate(2.8, 0.45))))
    return " ".join(rng.choices(words or _ENGLISH, k=length)).capitalize() + "."


def make_document(
    blocks: list[tuple[ElementKind, str]], *, symbols: list[str] | None = None
) -> CleanDocument:
    """Blocks with a blank line between them; the page is the block's number."""
    placed: list[Block] = []
    position = 0
    heading = ""
    for number, (kind, text) in enumerate(blocks):
        heading = text if kind == "heading" else heading
        symbol = symbols[number] if symbols else ""
        end = position + len(text)
        placed.append(Block(text, kind, position, end, number + 1, heading, symbol))
        position = end + 2
    return CleanDocument("\n\n".join(text for _, text in blocks), tuple(placed))
