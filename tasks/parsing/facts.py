"""Facts that a document states by name (`title`, `author`, `date`, ...), to `Metadata`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from schemas.document import Metadata
from tasks.parsing.dates import parse_date

_NAMES = {
    "title": ("title",),
    "author": ("author", "authors", "creator", "by"),
    "date": ("date", "published", "created", "pubdate", "updated"),
    "tags": ("tags", "keywords", "categories", "category", "subject"),
    "language": ("lang", "language", "locale"),
}
_KNOWN = {name for names in _NAMES.values() for name in names}
_BETWEEN_WORDS = re.compile("[,;]")


def metadata_from(facts: Mapping[str, object], *, extra: bool = False) -> Metadata:
    """What is stated as text or a list of texts; anything else is not taken for a fact.

    Args:
        facts: by lower-case name.
        extra: whether other facts are kept as free ones.
    """
    language = _words(facts, "language")
    return Metadata(
        title=", ".join(_texts(_fact(facts, "title"))) or None,
        author=", ".join(_texts(_fact(facts, "author"))) or None,
        authored_at=parse_date(next(iter(_texts(_fact(facts, "date"))), "")),
        language=re.split("[-_]", language[0].lower())[0] or None if language else None,
        tags=_words(facts, "tags"),
        extra={key: value for key, value in facts.items() if key not in _KNOWN and isinstance(value, str)}
        if extra
        else {},
    )


def _fact(facts: Mapping[str, object], name: str) -> object:
    return next((facts[key] for key in _NAMES[name] if facts.get(key)), None)


def _texts(value: object) -> list[str]:
    """Strings of a scalar or a list; of an object its name."""
    values = value if isinstance(value, list) else [value]
    named = [v.get("name") if isinstance(v, dict) else v for v in values[:100]]
    return [text.strip() for text in named if isinstance(text, str) and 0 < len(text.strip()) <= 1000]


def _words(facts: Mapping[str, object], name: str) -> tuple[str, ...]:
    words = [word.strip() for text in _texts(_fact(facts, name)) for word in _BETWEEN_WORDS.split(text)]
    return tuple(word for word in words if word)
