"""The package of an HWPX document: its parts, their order, its metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas.document import Metadata, PartProblem
from schemas.errors import ParseFailed
from tasks.parsing.dates import parse_date
from tasks.parsing.package import DAMAGE, encrypted, open_package, safe_xml

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_PART_BYTES = 64 * 2**20
MAX_MEMBERS = 10_000
_SECTION = re.compile(r"Contents/section(\d{1,9})\.xml")


class HwpxPackage:
    """The parts of the zip package; one that is missing or damaged is none, and a problem."""

    def __init__(self, data: bytes) -> None:
        self._package = open_package(
            data,
            max_members=MAX_MEMBERS,
            max_part_bytes=MAX_PART_BYTES,
            max_total_bytes=2 * MAX_PART_BYTES,
        )
        self._problems: list[PartProblem] = []
        if b"encryption-data" in self.read("META-INF/manifest.xml"):
            raise encrypted()
        self._content = self.root("Contents/content.hpf")
        self.sections = self._order()

    @property
    def problems(self) -> tuple[PartProblem, ...]:
        """Parts that were missing, damaged or refused."""
        return tuple(self._problems)

    def read(self, name: str) -> bytes:
        """A part's bytes, none where it is missing or damaged.

        Raises:
            EncryptedDocument: it needs a password.
            ParseFailed: it is larger than the limits.
        """
        if name not in self._package:
            return b""
        try:
            return self._package.read(name)
        except ParseFailed as error:
            if error.facts.get("cause") != DAMAGE:
                raise
            self._note(name)
            return b""

    def root(self, name: str) -> _Element | None:
        """A part's root; None where it is missing, damaged, nested too deep or declares entities."""
        from lxml import etree

        data = self.read(name)
        if not data:
            return None
        try:  # not as a huge tree: the sections are walked by recursion
            return etree.fromstring(
                safe_xml(data, name), etree.XMLParser(resolve_entities=False, no_network=True)
            )
        except (ParseFailed, etree.XMLSyntaxError, ValueError):
            self._note(name)
            return None

    def check_sizes(self) -> None:
        """Raise ParseFailed where any part is larger than the limits: another library reads it."""
        self._package.refuse_bombs("", ("",))

    def metadata(self) -> Metadata:
        """Title, author, date and keywords of the package."""
        facts: dict[str, str] = {}
        for node in () if self._content is None else self._content.iter("{*}metadata"):
            for fact in node.iterchildren(tag="*"):
                name = (fact.get("name") or tag_of(fact)).lower()
                facts.setdefault(name, (fact.text or "").strip())
        return Metadata(
            title=facts.get("title") or None,
            author=facts.get("creator") or facts.get("author") or None,
            authored_at=parse_date(facts.get("createddate") or facts.get("modifieddate") or ""),
            language=facts.get("language", "").lower().split("-")[0] or None,
            tags=tuple(tag.strip() for tag in re.split("[,;]", facts.get("keyword", "")) if tag.strip()),
            extra={name: facts[name] for name in ("subject", "description") if facts.get(name)},
        )

    def _order(self) -> tuple[str, ...]:
        """The sections: those of the spine, then those it leaves out."""
        found = {name: int(match[1]) for name in self._package.names() if (match := _SECTION.fullmatch(name))}
        listed: list[str] = []
        if self._content is not None:
            items = {item.get("id"): item.get("href") or "" for item in self._content.iter("{*}item")}
            listed = [items.get(ref.get("idref"), "") for ref in self._content.iter("{*}itemref")]
        listed = [name if name.startswith("Contents/") else f"Contents/{name}" for name in listed]
        order = dict.fromkeys(
            [*(n for n in listed if _SECTION.fullmatch(n)), *sorted(found, key=found.__getitem__)]
        )
        for name in order.keys() - found.keys():
            self._note(name)
        return tuple(name for name in order if name in found)

    def _note(self, name: str) -> None:
        advice = "Open the file in Hangul and save it again."
        problem = PartProblem(name, "ParseFailed", f"The part is missing or damaged. {advice}")
        if problem not in self._problems:
            self._problems.append(problem)


def damaged() -> ParseFailed:
    """The error for a package that gives nothing."""
    return ParseFailed(
        "The HWPX package is damaged or cut off.",
        advice="Fetch the file again, or open and save it in Hangul.",
    )


def tag_of(node: _Element) -> str:
    """The local name of an element, "" for comments and instructions."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
