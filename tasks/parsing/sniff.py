"""Which parser takes a file: its content decides, its name only among kinds of text."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePosixPath
from typing import NoReturn

from schemas.errors import EmptyDocument, EncryptedDocument, UnsupportedFormat
from tasks.parsing.containers import OFFICE, office_of_ole, office_of_zip
from tasks.parsing.formats import PARSERS

SNIFF_VERSION = 1
"""Raised whenever the same file may go to another parser, or be taken where it was not."""

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at; callers hand over at least this much of it."""

_CODE_SUFFIXES = re.findall(
    r"\w+",
    """
    bash bat c cc cfg clj cmake conf cpp cs css cxx dart dockerfile ex exs fs go gradle groovy h hpp hs
    ini java jl js json jsonl jsx kt kts lua m make makefile mjs mm pl php properties proto ps1 r rb rs
    scala scss sh sql svelte swift tf toml ts tsx vb vue xml xsd yaml yml zsh
    """,
)
_BY_SUFFIX = {
    **dict.fromkeys(("md", "markdown", "mdx", "mkd"), "markdown"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("csv", "tsv"), "csv"),
    **dict.fromkeys(("py", "pyi", "pyw"), "python"),
    **dict.fromkeys(_CODE_SUFFIXES, "code"),
    "eml": "mail",
}

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"GIF87a", "GIF image"),
    (0, b"GIF89a", "GIF image"),
    (8, b"WEBP", "WebP image"),
    (0, b"II*\x00", "TIFF image"),
    (0, b"MM\x00*", "TIFF image"),
    (0, b"\x00\x00\x01\x00", "icon image"),
    (0, b"8BPS", "Photoshop image"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"BZh", "bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "zstd archive"),
    (257, b"ustar", "tar archive"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"MZ\x90\x00", "Windows program"),
    (0, b"\xca\xfe\xba\xbe", "Java class or Mach-O program"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (0, b"\x00asm", "WebAssembly program"),
    (0, b"SQLite format 3\x00", "SQLite database"),
    (0, b"PAR1", "Parquet table"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (0, b"\x93NUMPY", "NumPy array"),
    (4, b"ftyp", "MP4 or HEIF media"),
    (0, b"ID3", "MP3 audio"),
    (0, b"OggS", "Ogg media"),
    (0, b"fLaC", "FLAC audio"),
    (8, b"WAVE", "WAV audio"),
    (8, b"AVI ", "AVI video"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska video"),
    (0, b"HWP Document File", "HWP 3 document"),
    (0, b"{\\rtf", "RTF document"),
    (0, b"%!PS", "PostScript document"),
)
_PARSER_OF_KIND = {
    "docx": "docx",
    "PPTX presentation": "pptx",
    **dict.fromkeys(("XLSX spreadsheet", "XLS spreadsheet", "ODS spreadsheet"), "spreadsheet"),
    **dict.fromkeys(("ODT document", "ODP presentation"), "opendocument"),
    "EPUB document": "epub",
    "HWP document": "hwp",
    "HWPX document": "hwpx",
    "Outlook message document": "outlook",
    "RTF document": "rtf",
    **dict.fromkeys(
        ("PNG image", "JPEG image", "GIF image", "WebP image", "TIFF image", "BMP image"), "image"
    ),
}
"""Kinds told by their first bytes, by the parser that reads them; all others are refused."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TEXT_CONTROLS = b"\t\n\r\f\x1b"
_CONTROLS = bytes(c for c in range(32) if c not in _TEXT_CONTROLS)
_PROLOGUE = re.compile(r"\s*(?:<\?xml[^>]{0,200}\?>\s*|<!--.{0,4000}?-->\s*){0,4}", re.S)
_HTML = re.compile(r"<(?:!doctype\s+html|html[\s>])", re.I)
_SVG = re.compile(r"<(?:!doctype\s+svg|svg[\s>])", re.I)


def choose_parser(head: bytes, uri: str) -> str:
    """Name of the parser for a file that starts with `head` (its first 64 KiB).

    Raises:
        EmptyDocument: the file has no bytes.
        EncryptedDocument: an office file inside a password container.
        UnsupportedFormat: an image, archive, program or a document without a parser.
    """
    if not head:
        raise EmptyDocument("The file has no bytes.", advice="Exclude it if that is as intended.")
    suffix = _suffix(uri)
    if head.startswith(b"PK\x03\x04"):
        return _choose_zip(head, suffix)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _choose_ole(head, suffix)
    if _is_pdf(head, suffix):
        return "pdf"
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset) and (len(magic) > 4 or is_binary(head)):
            return _parser_of(kind)
    encoding = bom_encoding(head)
    if encoding is None and is_binary(head):
        _reject("binary file")
    return _choose_text(head[:8192].decode(encoding or "latin-1", "ignore"), suffix)


def bom_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark names, or the one UTF-16 without a mark shows."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    sample = head[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd >= 4 and odd > len(sample) * 0.2 and even * 50 < odd:
        return "utf-16-le"
    if even >= 4 and even > len(sample) * 0.2 and odd * 50 < even:
        return "utf-16-be"
    return None


def is_binary(head: bytes) -> bool:
    """Whether bytes that no text has (NUL and other controls) are more than stray ones."""
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls >= 4 and controls > len(head) * 0.05


def _choose_text(start: str, suffix: str) -> str:
    body = start.lstrip("\ufeff\xef\xbb\xbf")
    prologue = _PROLOGUE.match(body)
    offset = prologue.end() if prologue else 0
    if _HTML.match(body, offset):
        return "html"
    if _SVG.match(body, offset):
        _reject("SVG image")
    return _BY_SUFFIX.get(suffix, "text")


def _is_pdf(head: bytes, suffix: str) -> bool:
    at = head[:1024].find(b"%PDF-")
    if at < 0:
        return False
    return not head[:at].strip(b"\xef\xbb\xbf \t\r\n") or suffix == "pdf" or is_binary(head)


def _choose_zip(head: bytes, suffix: str) -> str:
    kind = office_of_zip(head)
    may_be_docx = kind in ("docx", OFFICE) or (kind is None and suffix in ("docx", "docm"))
    if not may_be_docx:
        return _parser_of(kind or "zip archive")
    return "docx"  # where the head does not tell, the parser looks at the whole package


def _choose_ole(head: bytes, suffix: str) -> str:
    kind = office_of_ole(head)
    if kind == "encrypted" or (kind is None and suffix in ("docx", "xlsx", "pptx")):
        raise EncryptedDocument(
            "The office file needs a password.", advice="Save it without one, or exclude it."
        )
    return _parser_of(kind or "old office document (OLE)")


def _parser_of(kind: str) -> str:
    parser = _PARSER_OF_KIND.get(kind)
    if parser is None or parser not in PARSERS:
        _reject(kind)
    return parser


def _reject(kind: str) -> NoReturn:
    if kind.endswith("image"):
        advice = "Put images into a collection of images, or exclude them."
    elif kind.endswith("archive"):
        advice = "Unpack it into the source, or exclude it."
    elif kind.endswith(("document", "(OLE)", "sheet", "presentation")):
        advice = "Save it as PDF, DOCX, HTML or text, or exclude it."
    else:
        advice = "Exclude it from the source."
    raise UnsupportedFormat(f"No parser takes this content: {kind}.", advice=advice, format=kind)


def _suffix(uri: str) -> str:
    name = PurePosixPath(uri).name.lower()
    return name.rpartition(".")[2]
