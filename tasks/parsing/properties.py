"""What office documents say of themselves: title, author, date, keywords."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.document import Metadata
from tasks.parsing.dates import parse_date

if TYPE_CHECKING:
    from lxml.etree import _Element

    from tasks.parsing.package import Package

MAX_VALUE_CHARS = 2000
_EXTRA = ("subject", "description", "category")


def core_metadata(package: Package) -> Metadata:
    """The core properties of an OOXML package (docProps/core.xml)."""
    links = package.relations("").values()
    named = [link.target for link in links if link.kind == "core-properties"]
    core = package.optional_xml(next(iter(named), "docProps/core.xml"))
    return metadata_of(_facts(core))


def odf_metadata(root: _Element) -> Metadata:
    """The properties of an OpenDocument file (meta.xml, or the root of a flat one)."""
    meta = root.find(".//{*}meta")
    facts = {} if meta is None else _facts(meta)
    facts["creator"] = facts.get("creator") or facts.get("initial-creator", "")
    facts["modified"] = facts.get("date", "")
    facts["created"] = facts.get("creation-date", "")
    if meta is not None:
        words = [(node.text or "").strip() for node in meta.iterchildren("{*}keyword")]
        facts["keywords"] = ";".join(words)
    return metadata_of(facts)


def metadata_of(facts: dict[str, str]) -> Metadata:
    """Metadata of facts under the names of the core properties.

    The date is the one of the last change: a copied report or deck keeps the day on which its
    model was made, years before a word of its own was written.
    """
    tags = [word.strip() for word in re.split("[,;]", facts.get("keywords", ""))]
    extra = {key: facts[key] for key in _EXTRA if facts.get(key)}
    if facts.get("contentStatus"):
        extra["status"] = facts["contentStatus"]
    return Metadata(
        title=facts.get("title") or None,
        author=facts.get("creator") or None,
        authored_at=parse_date(facts.get("modified") or "") or parse_date(facts.get("created") or ""),
        language=re.split("[-_]", facts.get("language", "").lower())[0] or None,
        tags=tuple(tag for tag in tags if tag),
        extra=extra,
    )


def _facts(parent: _Element) -> dict[str, str]:
    facts: dict[str, str] = {}
    for node in parent.iterchildren(tag="*"):
        text = " ".join((node.text or "").split())[:MAX_VALUE_CHARS]
        facts.setdefault(node.tag.rpartition("}")[2], text)
    return facts


def ole_metadata(data: bytes) -> Metadata:
    """The summary information of an OLE file (XLS, DOC, HWP); nothing where it cannot be read."""
    import olefile

    try:
        with olefile.OleFileIO(data) as file:
            if not file.exists(_SUMMARY):
                return Metadata()
            single = file._parse_property
            # A list of values may say that it has four billion: none of the wanted ones is a list.
            file._parse_property = lambda stream, offset, number, kind, *options: (
                None if kind & _LIST else single(stream, offset, number, kind, *options)
            )
            properties = file.getproperties(_SUMMARY, convert_time=True, no_conversion=[10])
    except Exception:  # the file's own text does not depend on what this stream holds
        return Metadata()
    codepage = properties.get(1)
    facts = {name: _ole_text(properties.get(number), codepage) for number, name in _OLE_NAMES.items()}
    return metadata_of(facts)


_SUMMARY = "\x05SummaryInformation"
_LIST = 0x1000
_OLE_NAMES = {
    2: "title",
    3: "subject",
    4: "creator",
    5: "keywords",
    6: "description",
    12: "created",
    13: "modified",
}


def _ole_text(value: object, codepage: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, bytes):
        return value.strip("\0 ")[:MAX_VALUE_CHARS] if isinstance(value, str) else ""
    number = int(codepage) & 0xFFFF if isinstance(codepage, int) else 1252
    encoding = {65001: "utf-8", 1200: "utf-16-le"}.get(number, f"cp{number}")
    try:
        text = value.decode(encoding, "replace")
    except LookupError:
        text = value.decode("cp1252", "replace")
    return " ".join(text.strip("\0").split())[:MAX_VALUE_CHARS]
