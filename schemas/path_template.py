"""Templates that read facts from a document's path: ``resumes/{department}/{author}_{date}.pdf``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from unicodedata import normalize

MAX_CHARS = 500
MAX_PARTS = 20

_TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*/|\*\*|\*|\?)|([^*?{}]+)|([{}])", re.S)
_NAME = re.compile(r"[^\W\d][\w .-]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a template.

    Attributes:
        kind: ``text`` stands for itself, ``part`` is a named piece of a file's or folder's name,
            ``glob`` is a wildcard.
        value: the text, the part's name, or the wildcard.
        wins: of a part, whether it wins over what the file says of itself.
    """

    kind: Literal["text", "part", "glob"]
    value: str
    wins: bool = False


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A template, read; it matches whole paths."""

    tokens: tuple[Token, ...]


def parse_template(text: str) -> PathTemplate:
    """The template; one without a slash is for names at any depth, as with include patterns.

    >>> [token.value for token in parse_template("{author!}_*.md").tokens]
    ['**/', 'author', '_', '*', '.md']

    Raises:
        ValueError: it says what is wrong with it.
    """
    text = normalize("NFC", text)
    if len(text) > MAX_CHARS:
        raise ValueError(f"a path template is longer than {MAX_CHARS} characters")
    tokens = tuple(_token(match, text) for match in _TOKEN.finditer(text.strip("/")))
    if "/" not in text:
        tokens = (Token("glob", "**/"), *tokens)
    _check(text, tokens)
    return PathTemplate(tokens)


def _token(match: re.Match[str], text: str) -> Token:
    part, wildcard, literal, brace = match.groups()
    if brace:
        raise ValueError(f"{text!r} has a lone {brace}")
    if part is None:
        return Token("glob", wildcard) if wildcard else Token("text", literal)
    name = part.removesuffix("!").strip()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} names a part {{{part}}}: a name begins with a letter, as in {{author}}")
    return Token("part", name.lower(), part.endswith("!"))


def _check(text: str, tokens: tuple[Token, ...]) -> None:
    names = [token.value for token in tokens if token.kind == "part"]
    if not names:
        raise ValueError(f"{text!r} names no part: write one in braces, such as {{department}}")
    if twice := next((name for name in names if name != "tag" and names.count(name) > 1), None):
        raise ValueError(f"{text!r} names {{{twice}}} twice: only {{tag}} may be")
    if len(tokens) > MAX_PARTS:
        raise ValueError(f"{text!r} has more than {MAX_PARTS} parts")
    for before, after in pairwise(tokens):
        is_clear = "text" in (before.kind, after.kind) or "?" in (before.value, after.value)
        if not is_clear and before.value != "**/":
            raise ValueError(f"{text!r}: nothing stands between {before.value!r} and {after.value!r}")
