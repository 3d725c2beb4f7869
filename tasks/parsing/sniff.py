"""Which parser takes a file: its content decides, its name only among kinds of text."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NoReturn

from schemas.errors import EmptyDocument, EncryptedDocument, UnsupportedFormat
from tasks.images.sidecars import BUNDLE_MAGIC
from tasks.parsing.containers import OFFICE, office_of_ole, office_of_zip
from tasks.parsing.encodings import bom_encoding, is_binary
from tasks.parsing.formats import PARSERS
from tasks.parsing.kinds import AVIF_BRANDS, HEIF_BRANDS, MAGIC, PARSER_OF_KIND, advice_for
from tasks.parsing.text_kinds import kind_of_text

__all__ = ["HEAD_BYTES", "SNIFF_VERSION", "bom_encoding", "choose_parser", "is_binary", "kind_by_magic"]

SNIFF_VERSION = 4
"""Raised whenever the same file may go to another parser, or be taken where it was not."""

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at; callers hand over at least this much of it."""

_BLANK = b"\0 \t\r\n\f\x0b\xfe\xff"
_OLD_OFFICE = {
    "doc": "DOC document",
    "dot": "DOC document",
    "ppt": "PPT presentation",
    "pps": "PPT presentation",
    "xls": "XLS spreadsheet",
    "hwp": "HWP document",
    "msg": "Outlook message document",
}
_NEW_OFFICE = {
    "docx": "docx",
    "docm": "docx",
    "xlsx": "XLSX spreadsheet",
    "xlsm": "XLSX spreadsheet",
    "pptx": "PPTX presentation",
    "pptm": "PPTX presentation",
    "hwpx": "HWPX document",
    "epub": "EPUB document",
    "odt": "ODT document",
    "ods": "ODS spreadsheet",
    "odp": "ODP presentation",
    "odg": "ODG drawing",
    **dict.fromkeys(("pages", "numbers", "key"), "iWork document"),
}
_ARCHIVE = "zip archive"
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def choose_parser(head: bytes, uri: str) -> str:
    """Name of the parser for a file that starts with `head` (its first 64 KiB).

    Raises:
        EmptyDocument: the file has no bytes, or nothing but NUL bytes and blanks.
        EncryptedDocument: an office file inside a password container.
        UnsupportedFormat: an image, archive, program or a document without a parser.
    """
    if not head:
        raise EmptyDocument("The file has no bytes.", advice="Exclude it if that is as intended.")
    if head.startswith(BUNDLE_MAGIC):  # whatever its sidecar may look like
        _reject("image with a sidecar")
    suffix = _suffix(uri)
    if kind := _container(head, suffix):
        return _parser_of(kind)
    if _is_pdf(head, suffix):
        return "pdf"
    if kind := kind_by_magic(head):
        return _parser_of(kind)
    if b"\0" in head and not head.strip(_BLANK):
        raise EmptyDocument(
            "The file holds nothing but NUL bytes.",
            advice="Copy it again from where it came: an interrupted copy leaves such files.",
        )
    encoding = bom_encoding(head)
    if encoding is None and is_binary(head):
        _reject("binary file")
    kind = kind_of_text(head.decode(encoding or "latin-1", "ignore"), suffix, whole=len(head) < HEAD_BYTES)
    if kind.endswith(("image", "drawing")):
        _reject(kind)
    return kind if kind in PARSERS else "text"


def _container(head: bytes, suffix: str) -> str | None:
    """The kind of a zip or OLE file, by the suffix where its head does not tell."""
    if head.startswith(b"PK\x03\x04"):
        kind = office_of_zip(head)
        if kind not in (None, OFFICE, _ARCHIVE):
            return kind
        # Which office file it is may lie beyond the head: the parser looks at the whole package.
        return _NEW_OFFICE.get(suffix, "docx" if kind == OFFICE else _ARCHIVE)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        kind = office_of_ole(head, _OLD_OFFICE.get(suffix))
        if kind == "encrypted" or (kind is None and suffix in ("docx", "xlsx", "pptx")):
            raise EncryptedDocument(
                "The office file needs a password.", advice="Save it without one, or exclude it."
            )
        return kind or _OLD_OFFICE.get(suffix, "old office document (OLE)")
    return None


def kind_by_magic(head: bytes) -> str | None:
    """The kind of a file that its first bytes tell, as `tasks.parsing.kinds` names it; None of a text."""
    if kind := _by_brand(head):
        return kind
    binary = is_binary(head)
    for offset, magic, kind in MAGIC:
        # a picture of white paper holds no bytes that a text may not have, but for its mark
        is_sure = len(magic) > 4 or binary or not magic.isascii() or min(magic) < 9
        if is_sure and head.startswith(magic, offset):
            return kind
    if _is_bmp(head):
        return "BMP image"
    return "tar archive" if binary and _is_old_tar(head) else None


def _by_brand(head: bytes) -> str | None:
    """HEIF and AVIF are one container: its brands say how the image in it is coded."""
    if head[4:8] != b"ftyp":
        return None
    brand, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    is_open = brand in (b"mif1", b"msf1")
    if brand in AVIF_BRANDS or (is_open and compatible & AVIF_BRANDS):
        return "AVIF image"
    return "HEIF image" if brand in HEIF_BRANDS else None


def _is_bmp(head: bytes) -> bool:
    return (
        head.startswith(b"BM")
        and head[6:10] == b"\0\0\0\0"
        and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    )


def _is_old_tar(head: bytes) -> bool:
    """A tar header without the mark of newer ones: its checksum is right."""
    header = head[:512]
    stated = header[148:156].strip(b"\0 ")
    if len(header) < 512 or not header[0] or not stated.isdigit():
        return False
    try:
        return int(stated, 8) == sum(header[:148]) + 8 * 32 + sum(header[156:])
    except ValueError:
        return False


def _is_pdf(head: bytes, suffix: str) -> bool:
    at = head[:1024].find(b"%PDF-")
    if at < 0:
        return False
    return not head[:at].strip(b"\xef\xbb\xbf \t\r\n") or suffix == "pdf" or is_binary(head)


def _parser_of(kind: str) -> str:
    parser = PARSER_OF_KIND.get(kind)
    if parser is None or parser not in PARSERS:
        _reject(kind)
    return parser


def _reject(kind: str) -> NoReturn:
    raise UnsupportedFormat(f"No parser takes this content: {kind}.", advice=advice_for(kind), format=kind)


def _suffix(uri: str) -> str:
    name = PurePosixPath(uri).name.lower()
    return name.rpartition(".")[2]
