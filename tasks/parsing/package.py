"""Zip packages of office documents and books: the one safe way to open them and their XML."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from schemas.document import PartProblem
from schemas.errors import DocumentError, EncryptedDocument, ParseFailed
from tasks.parsing.sniff import bom_encoding

if TYPE_CHECKING:
    from lxml.etree import XMLParser, _Element

MAX_MEMBERS = 50_000
MAX_PART_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
MAX_RATIO = 250
SMALL_BYTES = 16 * 2**20
"""A part up to this size is read at any ratio: it cannot hurt."""

DAMAGE = "damage"
"""Under `cause` in the facts of an error: the part is not whole, and its size is no danger."""

_READ_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError)
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(officeDocument|\w+ml)/(\w+)")
_DECLARATION = re.compile(
    rb"""^\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})["'][^>]{0,200}\?>"""
)
_ANY_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,400}\?>")
_DOCTYPE = re.compile(rb"<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>")
_PLAIN_ENCODINGS = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))
_ADVICE = "Fetch the file again, or open it in its own application and save it again."

Trim = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Relation:
    """A link from one part to another: its kind (last word of its type) and its target's name."""

    kind: str
    target: str


class Package:
    """An open package. Names are looked up without regard to case and slashes; no file is written."""

    def __init__(
        self, archive: zipfile.ZipFile, size_bytes: int, *, max_part_bytes: int, max_total_bytes: int
    ) -> None:
        self._archive = archive
        self._size_bytes = size_bytes
        self._max_part_bytes = max_part_bytes
        self._left = max_total_bytes
        self._members = {_key(info.filename): info for info in archive.infolist()}
        self.problems: list[PartProblem] = []

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._members

    def names(self) -> Iterator[str]:
        """Names of all members, in the directory's order."""
        return (info.filename for info in self._archive.infolist())

    def read(self, name: str) -> bytes:
        """Bytes of a part.

        Raises:
            EncryptedDocument: the part needs a password.
            ParseFailed: it is missing, damaged, or larger than the limits.
        """
        info = self._members.get(_key(name))
        if info is None:
            raise damaged(f"{_short(name)} is missing")
        if info.flag_bits & 1:
            raise encrypted()
        self._check_size(info)
        try:
            with self._archive.open(info) as stream:
                data = stream.read()
        except _READ_ERRORS as exc:
            raise damaged(f"{_short(name)} cannot be unpacked") from exc
        self._left -= len(data)
        return data

    def xml(self, name: str, *, trim: Trim | None = None) -> _Element:
        """Root of a part's XML, of which `trim` may take away what is not needed. Raises what `read` does."""
        data = self.read(name)
        return parse_xml(trim(data) if trim else data, _short(name))

    def optional_xml(self, name: str, part: str = "", *, trim: Trim | None = None) -> _Element:
        """Root of a part that may be missing: then, or where it is damaged, an empty element.

        Damage is noted in `problems`, under `part` or the part's own name.
        """
        from lxml import etree

        if not name or name not in self:
            return etree.Element("missing")
        try:
            return self.xml(name, trim=trim)
        except EncryptedDocument:
            raise
        except DocumentError as error:
            self.problems.append(PartProblem(part or _short(name), type(error).__name__, str(error)))
            return etree.Element("damaged")

    def relations(self, part: str) -> dict[str, Relation]:
        """Links of a part by their id; "" is the package itself. Links out of the package are left out."""
        folder, name = posixpath.split(part)
        root = self.optional_xml(posixpath.join(folder, "_rels", f"{name}.rels"))
        found = {}
        for node in root.iterchildren(tag="{*}Relationship"):
            if node.get("TargetMode") != "External":
                kind = (node.get("Type") or "").rpartition("/")[2]
                found[node.get("Id") or ""] = Relation(kind, resolve(part, node.get("Target") or ""))
        return found

    def refuse_bombs(self, folder: str, suffixes: tuple[str, ...] = (".xml", ".bin", ".rels")) -> None:
        """Raise ParseFailed where a part in a folder is larger than the limits: another library reads it."""
        for name, info in self._members.items():
            if name.startswith(folder) and name.endswith(suffixes):
                self._check_size(info)

    def _check_size(self, info: zipfile.ZipInfo) -> None:
        size = info.file_size
        packed = max(1, min(info.compress_size, self._size_bytes))
        if size > SMALL_BYTES and size > MAX_RATIO * packed:
            raise ParseFailed(
                f"{_short(info.filename)} unpacks to {size // packed} times its size: a decompression bomb.",
                advice="Exclude the file, or open and save it again with its own application.",
            )
        if size > min(self._max_part_bytes, self._left):
            raise ParseFailed(
                f"{_short(info.filename)} unpacks to {size >> 20} MB, more than is read of one file.",
                advice="Split the document, or exclude it.",
            )


def open_package(
    data: bytes,
    *,
    max_members: int | None = None,
    max_part_bytes: int | None = None,
    max_total_bytes: int | None = None,
) -> Package:
    """The package in these bytes.

    Args:
        data: the file.
        max_members: most parts that it may have; None is `MAX_MEMBERS`.
        max_part_bytes: of one part, unpacked; None is `MAX_PART_BYTES`.
        max_total_bytes: of all parts together that are read; None is `MAX_TOTAL_BYTES`.

    Raises:
        ParseFailed: it is no zip archive, is cut off, or has more members than any document.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (*_READ_ERRORS, IndexError) as exc:
        raise damaged("its directory cannot be read") from exc
    max_members = max_members or MAX_MEMBERS
    if len(archive.infolist()) > max_members:
        raise ParseFailed(
            f"The package has {len(archive.infolist())} members, more than {max_members}.",
            advice="Exclude the file, or open and save it again with its own application.",
        )
    return Package(
        archive,
        len(data),
        max_part_bytes=max_part_bytes or MAX_PART_BYTES,
        max_total_bytes=max_total_bytes or MAX_TOTAL_BYTES,
    )


def parse_xml(data: bytes, name: str) -> _Element:
    """Root of the XML; entities are never resolved and what declares any is refused.

    Raises:
        ParseFailed: it is not well-formed, or declares entities.
    """
    from lxml import etree

    try:
        return etree.fromstring(safe_xml(data, name), xml_parser(recover=False))
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise damaged(f"the XML of {name} is not well-formed") from exc


def safe_xml(data: bytes, name: str) -> bytes:
    """The XML as UTF-8 without entities, strict namespaces as the usual ones.

    Raises:
        ParseFailed: it declares entities, or is not in the encoding that it declares.
    """
    data = _as_utf8(data, name)
    # lxml expands entities in attribute values even where it is told not to resolve them.
    if b"<!DOCTYPE" in data and b"<!ENTITY" in data:
        raise ParseFailed(
            f"{name} declares XML entities, which no office application writes.",
            advice="Exclude the file, or open and save it again with its own application.",
        )
    if b"<!DOCTYPE" in data[:4096]:  # what it names outside of the package is not looked for
        data = _DOCTYPE.sub(b"", data, count=1)
    if b"purl.oclc.org" in data[:8192]:
        data = _STRICT.sub(_transitional, data)
    return data


def xml_parser(*, recover: bool) -> XMLParser:
    """A parser that fetches nothing and resolves no entity; with `recover`, for damaged XML.

    Not with ``collect_ids=False``: then lxml 6 loads the DTD that a document names.
    """
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )


def resolve(part: str, target: str) -> str:
    """Name of the member that a link in `part` leads to; it never leaves the package.

    >>> resolve("ppt/slides/slide1.xml", "../media/../../../../etc/passwd")
    'etc/passwd'
    """
    path = unquote(target.partition("#")[0]).replace("\\", "/")
    joined = posixpath.normpath(posixpath.join("/", posixpath.dirname(part), path))
    return joined.lstrip("/")


def encrypted() -> EncryptedDocument:
    """The error for a package, or a part of one, that needs a password or a licence."""
    return EncryptedDocument("The file needs a password.", advice="Save it without one, or exclude it.")


def _as_utf8(data: bytes, name: str) -> bytes:
    """The XML in UTF-8: what is looked for in its bytes must be what the parser reads."""
    declared = _DECLARATION.match(data[:512].removeprefix(b"\xef\xbb\xbf"))
    encoding = bom_encoding(data[:4096]) or (declared[1].decode("ascii").lower() if declared else "utf-8")
    if encoding in _PLAIN_ENCODINGS and (not declared or declared[1].lower().decode() in _PLAIN_ENCODINGS):
        return data
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except (LookupError, UnicodeError) as exc:
        raise damaged(f"the encoding of {name} is not the one it declares") from exc
    return _ANY_DECLARATION.sub("", text, count=1).encode("utf-8", "replace")


def _transitional(match: re.Match[bytes]) -> bytes:
    """The namespace that all but strict documents use for the same elements."""
    family, name = match.groups()
    return b"http://schemas.openxmlformats.org/%s/2006/%s" % (family, name)


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _short(name: str) -> str:
    """A member's name for a message: printable, and no longer than a line."""
    return "".join(c if c.isprintable() else "?" for c in name)[:80]


def damaged(what: str) -> ParseFailed:
    """The error for a package that is not whole."""
    return ParseFailed(f"The file is damaged or cut off: {what}.", advice=_ADVICE, cause=DAMAGE)
