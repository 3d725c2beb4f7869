"""The last rung of zip-based documents: all text of the parts that are still there."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import EncryptedDocument, ParseFailed
from tasks.parsing.epub import chapter_elements
from tasks.parsing.package import Package, damaged, encrypted, open_package, safe_xml, xml_parser

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_PART_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 128 * 2**20
CHUNK_BYTES = 1024
"""Of packed data: what precedes a damage is lost by up to so much."""

_HEADER_BYTES = 30
_STORED, _DEFLATED = 0, 8
_MESSAGE = (
    "The file is damaged: only its text up to the damage was read, without its structure. "
    "Fetch the file again, or open it in its own application and save it again."
)
_WORDS_ONLY = "Only the words of the sheets were read, without numbers and rows. Save the file again."
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    data: bytes
    is_whole: bool


def parse_docx(data: bytes) -> ParsedDocument:
    """Text of a DOCX, paragraph by paragraph."""
    return _parse(data, "docx", r"word/(?:document\d*|footnotes|endnotes)\.xml", _xml_elements)


def parse_pptx(data: bytes) -> ParsedDocument:
    """Text of a PPTX, paragraph by paragraph, in the order of the slides' file names."""
    return _parse(data, "pptx", r"ppt/slides/slide\d+\.xml", _xml_elements)


def parse_spreadsheet(data: bytes) -> ParsedDocument:
    """Words of an XLSX or ODS; of an XLSX each as often as it is stored, which is once."""
    pattern = r"xl/(?:sharedStrings|worksheets/[^/]+)\.xml|content\.xml"
    parsed = _parse(data, "spreadsheet", pattern, _xml_elements)
    problem = PartProblem("sheets", "ParseFailed", _WORDS_ONLY)
    return ParsedDocument("spreadsheet", parsed.mime, parsed.elements, problems=(*parsed.problems, problem))


def parse_opendocument(data: bytes) -> ParsedDocument:
    """Text of an ODT or ODP, paragraph by paragraph."""
    return _parse(data, "opendocument", r"content\.xml", _xml_elements)


def parse_epub(data: bytes) -> ParsedDocument:
    """Elements of an EPUB's chapters, in the order of their file names."""
    return _parse(data, "epub", r".*\.x?html?", lambda part: chapter_elements(part.data))


def _parse(
    data: bytes, parser: str, pattern: str, read: Callable[[_Part], tuple[Element, ...]]
) -> ParsedDocument:
    wanted = re.compile(pattern, re.I)
    parts, is_whole = _parts(data, wanted)
    parts.sort(key=lambda part: [int(number) for number in _NUMBERS.findall(part.name[:200])[:8]])
    elements: list[Element] = []
    for part in parts:
        try:
            elements += read(part)
        except ParseFailed:
            is_whole = False
    if not elements:
        raise damaged("no part with text can be read")
    problems = () if is_whole else (PartProblem("document", "ParseFailed", _MESSAGE),)
    return ParsedDocument(parser, "application/zip", tuple(elements), problems=problems)


def _parts(data: bytes, wanted: re.Pattern[str]) -> tuple[list[_Part], bool]:
    """What there is of the wanted parts, each name once; whether the package is whole."""
    try:
        package = open_package(data)
        found = list(_by_directory(data, package, wanted))
        is_whole = all(part.is_whole for part in found)
    except EncryptedDocument:
        raise
    except ParseFailed:
        found, is_whole = list(_by_headers(data, wanted)), False
    return list({part.name: part for part in found if part.data}.values()), is_whole


def _by_directory(data: bytes, package: Package, wanted: re.Pattern[str]) -> Iterator[_Part]:
    offsets = {info.filename: info.header_offset for info in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    left = MAX_TOTAL_BYTES
    for name, offset in offsets.items():
        if not wanted.fullmatch(name):
            continue
        try:
            part = _Part(name, package.read(name), is_whole=True)
        except EncryptedDocument:
            raise
        except ParseFailed:
            part = _Part(name, _unpacked(data, offset, min(left, MAX_PART_BYTES)), is_whole=False)
        left -= len(part.data)
        yield part


def _by_headers(data: bytes, wanted: re.Pattern[str]) -> Iterator[_Part]:
    """Parts found from the front, by the header before each: the directory at the end is lost."""
    left = MAX_TOTAL_BYTES
    start = data.find(b"PK\x03\x04")
    while start >= 0 and left > 0:
        size = int.from_bytes(data[start + 26 : start + 28], "little")
        name = data[start + _HEADER_BYTES : start + _HEADER_BYTES + size].decode("utf-8", "replace")
        if wanted.fullmatch(name):
            if data[start + 6 : start + 7] and data[start + 6] & 1:
                raise encrypted()
            unpacked = _unpacked(data, start, min(left, MAX_PART_BYTES))
            left -= len(unpacked)
            yield _Part(name, unpacked, is_whole=False)
        start = data.find(b"PK\x03\x04", start + 4)


def _unpacked(data: bytes, start: int, limit: int) -> bytes:
    """What can be unpacked of the member whose header is at `start`, up to its first damage."""
    header = data[start : start + _HEADER_BYTES]
    if len(header) < _HEADER_BYTES or not header.startswith(b"PK\x03\x04"):
        return b""
    method, packed, name, extra = (
        int.from_bytes(header[a:b], "little") for a, b in ((8, 10), (18, 22), (26, 28), (28, 30))
    )
    body = start + _HEADER_BYTES + name + extra
    if method == _STORED:
        end = body + packed if packed else data.find(b"PK", body)
        return data[body : end if end > 0 else None][:limit]
    return _inflated(data, body, limit) if method == _DEFLATED else b""


def _inflated(data: bytes, start: int, limit: int) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = bytearray()
    try:
        while start < len(data) and not inflate.eof and len(found) < limit:
            chunk = inflate.unconsumed_tail + data[start : start + CHUNK_BYTES]
            found += inflate.decompress(chunk, limit - len(found))
            start += CHUNK_BYTES
    except zlib.error:
        pass  # what was unpacked before is right
    return bytes(found)


def _xml_elements(part: _Part) -> tuple[Element, ...]:
    """An element for each paragraph or shared string; XML that breaks off is read to its end."""
    from lxml import etree

    try:
        root = etree.fromstring(safe_xml(part.data, part.name), xml_parser(recover=True))
    except (etree.XMLSyntaxError, ValueError):
        return ()
    if root is None:
        return ()
    for copy in root.iter("{*}Fallback", "{*}tracked-changes"):
        for child in list(copy):
            copy.remove(child)
    texts = (_text(node) for node in root.iter("{*}p", "{*}h", "{*}si", "{*}is"))
    return tuple(Element(text) for text in texts if text)


def _text(node: _Element) -> str:
    """Text of a paragraph; "" for one inside another, which has it already."""
    if next(node.iterancestors("{*}p", "{*}si"), None) is not None:
        return ""
    is_odf = "opendocument" in node.tag
    pieces = node.itertext() if is_odf else (t.text or "" for t in node.iter("{*}t"))
    return " ".join("".join(pieces).split())
