"""Generated documents that are alike: filled-in forms that must stay apart, and copies that must not.

Deterministic by seed. Words come as often as Zipf's law has them, so that repeated and rare words
are in the proportion of real text.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Final

Pair = tuple[str, str]

_WORDS = 6000
_EN_SYLLABLES = (
    "ba ce di fo gu la me ni ro su ta ve wi zo pra ste tri con ment er al in or is un re de".split()
)
_KO_SYLLABLES = (
    "가나다라마바사아자차하기니리미비시이지구무부수우주고도로보소조관계산업정보실행사회경제".strip()
)
_KO_ENDINGS = ("은", "는", "이", "가", "을", "를", "에", "에서", "으로", "의", "하고", "하며", "한다", "")


class Language:
    """Words, names, dates and figures of one language."""

    def __init__(self, name: str) -> None:
        self.name = name
        rng = random.Random(f"words of {name}")
        self.words = [self._make_word(rng) for _ in range(_WORDS)]
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(_WORDS)))

    def draw(self, rng: random.Random, count: int) -> list[str]:
        """That many words."""
        return rng.choices(self.words, cum_weights=self._weights, k=count)

    def sentence(self, rng: random.Random) -> str:
        """Twelve words or so, a full stop; one in five names a figure."""
        words = self.draw(rng, rng.randint(8, 16))
        if rng.random() < 0.2:
            words[rng.randrange(len(words))] = self.figure(rng)
        return " ".join(words) + "."

    def prose(self, rng: random.Random, sentences: int) -> str:
        """That many sentences."""
        return " ".join(self.sentence(rng) for _ in range(sentences))

    def figure(self, rng: random.Random) -> str:
        """A number as prose has it."""
        unit = rng.choice(("건", "명", "일", "%")) if self.name == "ko" else rng.choice(("", "%"))
        return f"{rng.randint(2, 400)}{unit}"

    def person(self, rng: random.Random) -> str:
        """A full name."""
        if self.name == "ko":
            return rng.choice("김이박최정강조윤장임") + "".join(rng.choices(_KO_SYLLABLES, k=2))
        return f"{rng.choice(self.words[500:]).title()} {rng.choice(self.words[500:]).title()}"

    def firm(self, rng: random.Random) -> str:
        """A company or a school."""
        word = "".join(rng.choices(_KO_SYLLABLES, k=3)) if self.name == "ko" else rng.choice(self.words[300:])
        return f"주식회사 {word}" if self.name == "ko" else f"{word.title()} Ltd"

    def date(self, rng: random.Random) -> str:
        """A day."""
        year, month, day = rng.randint(1980, 2025), rng.randint(1, 12), rng.randint(1, 28)
        return f"{year}년 {month}월 {day}일" if self.name == "ko" else f"{year}-{month:02}-{day:02}"

    def amount(self, rng: random.Random) -> str:
        """A sum of money."""
        return f"{rng.randint(1000, 9_999_999):,}" + ("원" if self.name == "ko" else " USD")

    def phone(self, rng: random.Random) -> str:
        """A telephone number."""
        return f"010-{rng.randint(1000, 9999)}-{rng.randint(1000, 9999)}"

    def address(self, rng: random.Random) -> str:
        """Town, street, number."""
        if self.name == "ko":
            town, street = ("".join(rng.choices(_KO_SYLLABLES, k=2)) for _ in range(2))
            return f"서울시 {town}구 {street}로 {rng.randint(1, 400)}"
        return f"{rng.randint(1, 400)} {rng.choice(self.words[200:]).title()} Street"

    def _make_word(self, rng: random.Random) -> str:
        if self.name == "ko":
            return "".join(rng.choices(_KO_SYLLABLES, k=rng.randint(1, 3))) + rng.choice(_KO_ENDINGS)
        return "".join(rng.choices(_EN_SYLLABLES, k=rng.randint(1, 4)))


LANGUAGES: Final = {name: Language(name) for name in ("en", "ko")}


def _fill(words: Language, seed: str, sentences: int, fields: Callable[[random.Random], list[str]]) -> Pair:
    """One form filled in twice: the same prose, with the fields between its sentences."""
    filled = []
    for copy in range(2):
        form, own = random.Random(seed), random.Random(f"{seed} {copy}")
        prose = [words.sentence(form) for _ in range(sentences)]
        for number, value in enumerate(fields(own)):
            label = words.words[number % 40 + 20]
            prose.insert(form.randrange(len(prose)), f"{number + 1}. {label}: {value}\n")
        filled.append(" ".join(prose))
    return filled[0], filled[1]


def resumes(words: Language, seed: int) -> Pair:
    """A long application form; name, birth, phone, mail, address, two schools, a short text."""

    def fields(rng: random.Random) -> list[str]:
        periods = [f"{words.firm(rng)} {words.date(rng)} - {words.date(rng)}" for _ in range(2)]
        mail = f"{rng.choice(_EN_SYLLABLES)}{rng.randint(1, 999)}@example.com"
        own = words.prose(rng, rng.randint(0, 2))
        return [words.person(rng), words.date(rng), words.phone(rng), mail, words.address(rng), *periods, own]

    return _fill(words, f"resume {words.name} {seed}", 60, fields)


def contracts(words: Language, seed: int) -> Pair:
    """1,500 words in numbered articles; 8 to 15 fields."""
    count = random.Random(seed).randint(8, 15)

    def fields(rng: random.Random) -> list[str]:
        kinds = (words.person, words.firm, words.date, words.amount, words.address, words.phone)
        return [kinds[number % 6](rng) for number in range(count)]

    return _fill(words, f"contract {words.name} {seed}", 125, fields)


def letters(words: Language, seed: int) -> Pair:
    """A one-page notice to someone else: name, address, date, amount, reference."""

    def fields(rng: random.Random) -> list[str]:
        reference = f"REF-{rng.randint(10_000, 99_999)}"
        return [words.person(rng), words.address(rng), words.date(rng), words.amount(rng), reference]

    return _fill(words, f"letter {words.name} {seed}", 25, fields)


def reports(words: Language, seed: int) -> Pair:
    """A monthly report: the prose of last month, 8 to 25 other figures."""
    count = random.Random(seed).randint(8, 25)

    def fields(rng: random.Random) -> list[str]:
        return [words.date(rng), *(words.amount(rng) for _ in range(count))]

    return _fill(words, f"report {words.name} {seed}", 40, fields)


def invoices(words: Language, seed: int) -> Pair:
    """Terms of 300 words; buyer, number, date, three items with amounts."""

    def fields(rng: random.Random) -> list[str]:
        items = [f"{words.firm(rng)} {rng.randint(1, 90)} {words.amount(rng)}" for _ in range(3)]
        return [words.firm(rng), f"{rng.randint(10_000, 99_999)}", words.date(rng), *items]

    return _fill(words, f"invoice {words.name} {seed}", 25, fields)


def mails(words: Language, seed: int) -> Pair:
    """Two mails under one footer that is 60 % of each."""
    rng = random.Random(f"mail {words.name} {seed}")
    footer = words.prose(rng, 12)
    return f"{words.prose(rng, 8)}\n{footer}", f"{words.prose(rng, 8)}\n{footer}"


def references(words: Language, seed: int) -> Pair:
    """A form without a figure: names, firms, two sentences about someone."""

    def fields(rng: random.Random) -> list[str]:
        own = " ".join(words.draw(rng, 24))
        return [words.person(rng), words.firm(rng), words.person(rng), words.firm(rng), own]

    return _fill(words, f"reference {words.name} {seed}", 40, fields)


def _article(words: Language, rng: random.Random) -> list[str]:
    return [words.sentence(rng) for _ in range(40)]


def with_footer(words: Language, seed: int) -> Pair:
    """The same text, one of them with a header, a footer, page numbers."""
    rng = random.Random(f"footer {words.name} {seed}")
    lines = _article(words, rng)
    head = f"{words.firm(rng)} {words.date(rng)} {words.phone(rng)}"
    pages = [f"{line}\n{head} {n // 10 + 1}/4" if n % 10 == 9 else line for n, line in enumerate(lines)]
    return " ".join(lines), f"{head}\n{' '.join(pages)}\n{words.prose(rng, 2)}"


def reposted(words: Language, seed: int) -> Pair:
    """The same text on two sites, each with a headline and a footer of its own."""
    rng = random.Random(f"repost {words.name} {seed}")
    text = " ".join(_article(words, rng))
    first, second = (f"{words.firm(rng)} {words.date(rng)}\n{text}\n{words.address(rng)}" for _ in range(2))
    return first, second


def edited(words: Language, seed: int) -> Pair:
    """One to three of forty sentences have two to four other words each."""
    rng = random.Random(f"edit {words.name} {seed}")
    lines = _article(words, rng)
    draft = list(lines)
    for place in rng.sample(range(len(draft)), rng.randint(1, 3)):
        changed = draft[place].split()
        for at in rng.sample(range(len(changed)), rng.randint(2, 4)):
            changed[at] = rng.choice(words.words)
        draft[place] = " ".join(changed)
    return " ".join(lines), " ".join(draft)


def edited_note(words: Language, seed: int) -> Pair:
    """One of twelve sentences has two to four other words."""
    rng = random.Random(f"note {words.name} {seed}")
    lines = [words.sentence(rng) for _ in range(12)]
    draft = list(lines)
    place = rng.randrange(12)
    changed = draft[place].split()
    for at in rng.sample(range(len(changed)), rng.randint(2, 4)):
        changed[at] = rng.choice(words.words)
    draft[place] = " ".join(changed)
    return " ".join(lines), " ".join(draft)


def rewritten(words: Language, seed: int) -> Pair:
    """One of forty sentences is another one."""
    rng = random.Random(f"rewrite {words.name} {seed}")
    lines = _article(words, rng)
    draft = list(lines)
    draft[rng.randrange(40)] = words.sentence(rng)
    return " ".join(lines), " ".join(draft)


def redrafted(words: Language, seed: int) -> Pair:
    """Three of forty sentences are other ones."""
    rng = random.Random(f"redraft {words.name} {seed}")
    lines = _article(words, rng)
    draft = list(lines)
    for place in rng.sample(range(40), 3):
        draft[place] = words.sentence(rng)
    return " ".join(lines), " ".join(draft)


def mistyped(words: Language, seed: int, reading: int = 0) -> Pair:
    """One character in two hundred is another one."""
    text = " ".join(_article(words, random.Random(f"typo {words.name} {seed}")))
    rng = random.Random(f"typo {words.name} {seed} {reading}")
    pool = _KO_SYLLABLES if words.name == "ko" else "abcdefghijklmnopqrstuvwxyz"
    other = [rng.choice(pool) if c.isalnum() and rng.random() < 0.005 else c for c in text]
    return text, "".join(other)


def scanned(words: Language, seed: int) -> Pair:
    """Two readings of one scan: in each, one character in two hundred is another one."""
    return mistyped(words, seed)[1], mistyped(words, seed, 1)[1]


def reordered(words: Language, seed: int) -> Pair:
    """Two of eight paragraphs have changed places."""
    rng = random.Random(f"order {words.name} {seed}")
    lines = _article(words, rng)
    paragraphs = [" ".join(lines[n : n + 5]) for n in range(0, 40, 5)]
    moved = list(paragraphs)
    a, b = rng.sample(range(8), 2)
    moved[a], moved[b] = moved[b], moved[a]
    return "\n\n".join(paragraphs), "\n\n".join(moved)


def extracted(words: Language, seed: int) -> Pair:
    """Other line ends, capitals and punctuation; in Korean one space in thirty is lost."""
    rng = random.Random(f"extract {words.name} {seed}")
    text = " ".join(_article(words, rng))
    noisy = []
    for c in text.upper() if rng.random() < 0.3 else text:
        if c == " " and words.name == "ko" and rng.random() < 1 / 30:
            continue
        noisy.append(
            rng.choice((",", "", " ·")) if c == "." else "\n" if c == " " and rng.random() < 0.1 else c
        )
        if noisy[-1] != c and c == ".":
            noisy.append(" ")
    return text, "".join(noisy)


FAMILIES: Final = {f.__name__: f for f in (resumes, contracts, letters, reports, invoices, mails)}
COPIES: Final = {
    f.__name__: f
    for f in (with_footer, reposted, edited, edited_note, rewritten, mistyped, scanned, reordered, extracted)
}
HARD: Final = {f.__name__: f for f in (redrafted, references)}
