"""Whether a Korean line break stands for a space or splits a word.

Korean layouts break lines inside words; some producers leave the space of a break in the
file, many drop it. The document's own text tells: how often its syllables, and pairs of
them, have a space between them inside lines.

Measured on 47,000 characters of Korean prose set by ReportLab, fpdf2, Typst and WeasyPrint
(Nov 2026): 97-98 % of the breaks right where nothing in the file tells, all of them where
breaks are at spaces only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.parsing.hangul_odds import known_odds

LINE_HAS_ROOM_EM = 1.25
"""Room at a line's end in which one more syllable would have stood."""

_TRUSTED_SPACES = 0.2
_AT_SPACES_ONLY = 0.6
"""Share of breaks with a space; where words are divided a third has one, so the others were lost."""

_NARROW = 4
"""Characters of a line so short that it divides words whatever the others do."""

_MIN_ROOM_SHARE = 0.25
_MIN_MEAN = 0.6
_PAIR_WEIGHT = 0.7
_TRAINING_CHARS = 200_000
_KNOWN_WEIGHT = 8
"""Gaps in the document that count as much as what is known of Korean."""

_SURE = 0.03
_ROOM_ODDS = 5.0
_LONE_ODDS = -3.0
_WORD_ROOM_EM = 2.6
_WORD_ROOM_ODDS = 2.0
"""A line that ends so far from the column has left a word to the next one."""

_STEM_ODDS = 1.5
_AFTER_E = frozenset("서는도게만선라러야요너어")
_WORDS = frozenset(
    "수것이그및등후중전때한두세네각또더안못잘위뒤앞곳데바점줄일월년명개회첫새큰해할될된온간내외시분초호장조항층"
    "번원건쪽권말집길물불돈몸손발눈귀입밤낮봄즉단약총본동당매왜꼭늘좀참다저제내너꽤곧만채뿐듯척김팀값글책옷별섬"
)
"""Words of one syllable."""

_ENDINGS = frozenset("다는을를은가의에로고며여서도지게면나와과자니까라요함됨음임어아")
"""Syllables that end a word and are none."""

_NO_SPACE_BEFORE = frozenset(".,!?;:)]}…。、’”」』》%")
_LETTER = re.compile(r"[A-Za-z\u00c0-\u024f]")
_DIGIT = re.compile(r"\d")
_GAP = re.compile(r"(?=(\S)( ?)(\S))")

_Feature = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Break:
    """A line end inside a paragraph: the texts on both sides, and the room left in em."""

    before: str
    after: str
    room_em: float

    @property
    def has_space(self) -> bool:
        """Whether the file itself has a space at the break."""
        return self.before[-1:].isspace() or self.after[:1].isspace()


def is_hangul(char: str) -> bool:
    """Whether the character is a Hangul syllable."""
    return "\uac00" <= char <= "\ud7a3"


def spaces_at(breaks: Sequence[Break], lines: Sequence[str]) -> list[bool]:
    """For each break whether a space belongs there. `lines` is all text of the document."""
    korean = [b for b in breaks if _is_korean(b)]
    if not korean:
        return [b.has_space or not _is_cjk(b) for b in breaks]
    marked = sum(b.has_space for b in korean) / len(korean)
    if marked >= _AT_SPACES_ONLY:
        return [b.has_space or not (_is_cjk(b) or _is_narrow(b)) for b in breaks]
    if marked >= _TRUSTED_SPACES:
        return [b.has_space or not _touches_hangul(b) for b in breaks]
    model = _Model(lines)
    odds = {id(b): model.log_odds(b.before.rstrip(), b.after.lstrip()) for b in breaks if _touches_hangul(b)}
    roomy = sum(b.room_em > LINE_HAS_ROOM_EM for b in korean) / len(korean)
    mean = sum(1 / (1 + math.exp(-odds[id(b)])) for b in korean) / len(korean)
    if roomy >= _MIN_ROOM_SHARE or mean > _MIN_MEAN:
        return [True] * len(breaks)
    return [b.has_space or odds.get(id(b), 1.0) > 0 for b in breaks]


def spaces_where_cut(breaks: Sequence[Break], lines: Sequence[str], *, exact: bool) -> list[bool]:
    """For each break whether a space belongs there, in text whose column may cut words.

    Short text is judged by what is known of Korean as well.

    Args:
        breaks: with `Break.room_em` 1 where the last place of the column is empty, as a space
            that was there leaves it.
        lines: all text of the document.
        exact: whether the lines are all as long, as breaks at spaces only never leave them.
    """
    model = _Model(lines, known_odds())
    odds = [
        model.log_odds(b.before.rstrip(), b.after.lstrip()) if _touches_hangul(b) else 1.0 for b in breaks
    ]
    if not exact and _is_between_words(breaks, odds, model.prior):
        return [True] * len(breaks)
    room = _ROOM_ODDS if exact else 0.0
    return [
        b.after.lstrip()[:1] not in _NO_SPACE_BEFORE and (b.has_space or o + room * (b.room_em >= 1) > 0)
        for b, o in zip(breaks, odds, strict=True)
    ]


def _is_between_words(breaks: Sequence[Break], odds: Sequence[float], prior: float) -> bool:
    """Whether the breaks are all at spaces, rather than anywhere."""
    total = 0.0
    for b, o in zip(breaks, odds, strict=True):
        if _is_korean(b):
            share = max(_SURE, 1 / (1 + math.exp(-max(o, -30))))
            total += math.log(share / prior) + _WORD_ROOM_ODDS * (b.room_em > _WORD_ROOM_EM)
    return total > 0


def _is_korean(b: Break) -> bool:
    return all(map(is_hangul, _sides(b)))


def _touches_hangul(b: Break) -> bool:
    return any(map(is_hangul, _sides(b)))


def _is_narrow(b: Break) -> bool:
    return _touches_hangul(b) and len(b.before.strip()) <= _NARROW


def _is_cjk(b: Break) -> bool:
    """Chinese and Japanese have no spaces."""
    return all("\u3000" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in _sides(b))


def _sides(b: Break) -> tuple[str, str]:
    return b.before.rstrip()[-1:], b.after.lstrip()[:1]


class _Model:
    """Log odds of a space between two pieces of text, from the text's own lines."""

    def __init__(self, lines: Sequence[str], known: Mapping[_Feature, int] | None = None) -> None:
        self._known = known or {}
        self._seen: dict[tuple[str, str], float] = {}
        self._counts: tuple[Counter[_Feature], Counter[_Feature]] = (Counter(), Counter())
        for text in _sample(lines):
            classes = _classes(text)  # a character each, so that places stay the same
            for match in _GAP.finditer(text):
                start, end = match.start(1), match.start(3)
                counts = self._counts[match[2] == " "]
                for feature in _features(classes[max(0, start - 1) : start + 1], classes[end : end + 2]):
                    counts[feature] += 1
        none, space = self._counts
        self.prior = (space["", ""] + 0.25) / (none["", ""] + space["", ""] + 1)

    def log_odds(self, left: str, right: str) -> float:
        pair = left[-2:], right[:2]
        if pair not in self._seen:
            self._seen[pair] = self._log_odds(*pair)
        return self._seen[pair]

    def _log_odds(self, left: str, right: str) -> float:
        base = _logit(self.prior)
        total = base
        for feature in _features(_classes(left[-2:]), _classes(right[:2])):
            weight = 1.0 if len(feature[1]) == 1 else _PAIR_WEIGHT
            total += weight * (self._odds(feature) - base)
        return total + _lone_odds(left, right) if self._known else total

    def _odds(self, feature: _Feature) -> float:
        none, space = self._counts[0][feature], self._counts[1][feature]
        if (known := self._known.get(feature)) is not None:
            share = 1 / (1 + math.exp(-_logit(self.prior) - known))
            return _logit((space + _KNOWN_WEIGHT * share) / (none + space + _KNOWN_WEIGHT))
        return _logit((space + self.prior) / (none + space + 1))


def _lone_odds(left: str, right: str) -> float:
    """What a single syllable beside the gap tells: few are words, and few of those are endings."""
    odds = _STEM_ODDS if left[-1] == "에" and right[0] not in _AFTER_E else 0.0
    if left[-2:-1] == " " and is_hangul(left[-1]) and left[-1] not in _WORDS:
        odds += _LONE_ODDS
    if right[0] in _ENDINGS and not is_hangul(right[1:2] or " "):
        odds += _LONE_ODDS
    return odds


def _sample(lines: Sequence[str]) -> Iterator[str]:
    left = _TRAINING_CHARS
    for line in lines:
        if left <= 0:
            return
        left -= len(line)
        yield " ".join(line.split())


def _features(left: str, right: str) -> list[_Feature]:
    """What is left and right of a gap, both by `_classes`."""
    features = [("", ""), ("<", left[-1]), (">", right[0]), ("<>", left[-1] + right[0])]
    if len(left) > 1 and left[0] != " ":
        features.append(("<<", left))
    if len(right) > 1 and right[1] != " ":
        features.append((">>", right))
    return features


def _classes(text: str) -> str:
    """The text with one sign for all Latin letters and one for all digits."""
    return _DIGIT.sub("0", _LETTER.sub("A", text))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
