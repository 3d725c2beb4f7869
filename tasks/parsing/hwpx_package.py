"""The zip package of an HWPX document, read with limits."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from schemas.document import Metadata, PartProblem
from schemas.errors import EncryptedDocument, ParseFailed
from tasks.parsing.dates import parse_date

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_PART_BYTES = 64 * 2**20
MAX_MEMBERS = 10_000
_SECTION = re.compile(r"Contents/section(\d{1,9})\.xml")


class Package:
    """The zip package, read with limits."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._names = frozenset(self._zip.namelist())
        except Exception as exc:  # BadZipFile, NotImplementedError, ValueError: by the damage
            raise damaged() from exc
        if len(self._names) > MAX_MEMBERS:
            raise ParseFailed(f"The HWPX package has more than {MAX_MEMBERS:,} parts.", advice="Exclude it.")
        self._left = 2 * MAX_PART_BYTES
        self._problems: list[PartProblem] = []
        if b"encryption-data" in self.read("META-INF/manifest.xml"):
            raise EncryptedDocument(
                "The HWPX document needs a password.", advice="Save it without one in Hangul, or exclude it."
            )
        self._content = self.root("Contents/content.hpf")
        self.sections = self._order()

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def problems(self) -> tuple[PartProblem, ...]:
        """Parts that were missing, damaged or refused."""
        return tuple(self._problems)

    def read(self, name: str) -> bytes:
        """A part's bytes, none where it is missing; unpacks no more than the limits."""
        if name not in self._names:
            return b""
        limit = min(MAX_PART_BYTES, self._left)
        try:
            with self._zip.open(name) as part:
                data = part.read(limit + 1)
        except RuntimeError as exc:
            raise EncryptedDocument(
                "The HWPX package needs a password.", advice="Save it without one, or exclude it."
            ) from exc
        except Exception:  # zlib.error, BadZipFile, EOFError: by compression method and damage
            self._note(name)
            return b""
        self._left -= len(data)
        if len(data) > limit:
            raise ParseFailed(
                f"The HWPX document unpacks to more than {MAX_PART_BYTES >> 20} MB.",
                advice="Split the document, or exclude it.",
            )
        return data

    def root(self, name: str) -> _Element | None:
        """A part's root; None where it is missing, damaged or declares entities."""
        from lxml import etree

        data = self.read(name)
        if not data:
            return None
        try:
            root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError:
            self._note(name)
            return None
        if root.getroottree().docinfo.internalDTD is not None:
            self._note(name)
            return None
        return root

    def check_sizes(self) -> None:
        """Read every part once.

        Raises:
            ParseFailed: they unpack to more than the limits.
        """
        for name in self._names:
            self._left = 2 * MAX_PART_BYTES
            self.read(name)

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
        found = {name: int(match[1]) for name in self._names if (match := _SECTION.fullmatch(name))}
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
