"""Kinds of files: how their first bytes tell them, and which parser reads each."""

from __future__ import annotations

import re

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"GIF87a", "GIF image"),
    (0, b"GIF89a", "GIF image"),
    (8, b"WEBP", "WebP image"),
    (0, b"II*\x00", "TIFF image"),
    (0, b"MM\x00*", "TIFF image"),
    (0, b"\x00\x00\x01\x00", "icon image"),
    (0, b"8BPS", "Photoshop image"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL image"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000 image"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"BZh", "bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "zstd archive"),
    (0, b"\x04\x22\x4d\x18", "LZ4 archive"),
    (0, b"MSCF\x00\x00\x00\x00", "CAB archive"),
    (0, b"ALZ\x01", "ALZ archive"),
    (0, b"EGGA", "EGG archive"),
    (0, b"PK\x05\x06", "zip archive"),
    (0, b"PK\x07\x08", "zip archive"),
    (257, b"ustar", "tar archive"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"MZ\x90\x00", "Windows program"),
    (0, b"\xca\xfe\xba\xbe", "Java class or Mach-O program"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (0, b"\x00asm", "WebAssembly program"),
    (0, b"SQLite format 3\x00", "SQLite database"),
    (0, b"!BDN", "Outlook mail store"),
    (0, b"PAR1", "Parquet table"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"wOFF", "font"),
    (0, b"wOF2", "font"),
    (0, b"OTTO\x00", "font"),
    (0, b"\x00\x01\x00\x00\x00", "font"),
    (4, b"ftyp", "MP4 media"),
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
"""(offset, bytes, kind); those of four bytes and less count only in what is binary."""

HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
"""Of a file whose box ``ftyp`` comes first; the last two say nothing of how it is coded."""
AVIF_BRANDS = frozenset((b"avif", b"avis"))

_ARCHIVES = ("zip archive", "gzip archive", "bzip2 archive", "xz archive", "tar archive")
PILLOW_FORMATS = {
    "PNG image": ("PNG",),
    "JPEG image": ("JPEG", "MPO"),
    "GIF image": ("GIF",),
    "WebP image": ("WEBP",),
    "TIFF image": ("TIFF",),
    "BMP image": ("BMP",),
    "HEIF image": ("HEIF",),
    "AVIF image": ("AVIF",),
}
"""Kinds of images that are read, by Pillow's names of their formats."""
_SHEETS = ("XLSX spreadsheet", "XLS spreadsheet", "ODS spreadsheet")

PARSER_OF_KIND = {
    "docx": "docx",
    "PPTX presentation": "pptx",
    **dict.fromkeys(_SHEETS, "spreadsheet"),
    **dict.fromkeys(("ODT document", "ODP presentation"), "opendocument"),
    "EPUB document": "epub",
    "HWP document": "hwp",
    "HWPX document": "hwpx",
    "Outlook message document": "outlook",
    "RTF document": "rtf",
    **dict.fromkeys(PILLOW_FORMATS, "image"),
    **dict.fromkeys(_ARCHIVES, "archive"),
}
"""Kinds told by their first bytes, by the parser that reads them; all others are refused."""

_CODE_SUFFIXES = re.findall(
    r"\w+",
    """
    bash bat cfg clj cmake conf cs css dart dockerfile ex exs fish fs gradle groovy hs ini jl kt kts less
    lua m make makefile mk mm php pl pm properties proto ps1 pxd pyx r rb
    sass scala scss sh svelte swift tf toml
    vb vue yaml yml zsh
    """,
)
PARSER_OF_SUFFIX = {
    **dict.fromkeys(("md", "markdown", "mdx", "mkd"), "markdown"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("csv", "tsv", "tab"), "csv"),
    **dict.fromkeys(("rst", "rest"), "rst"),
    **dict.fromkeys(("eml", "mbox", "mht", "mhtml"), "mail"),
    **dict.fromkeys(("json", "geojson", "webmanifest", "jsonc", "json5"), "json"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    "ipynb": "notebook",
    **dict.fromkeys(
        re.findall(
            r"\w+", "atom dbk dita docbook fb2 gpx kml plist resx rss tei tmx wsdl xlf xml xsd xsl xslt"
        ),
        "xml",
    ),
    **dict.fromkeys(("py", "pyi", "pyw"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "tsx", "mts", "cts"), "typescript"),
    "java": "java",
    "go": "go",
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hh", "hpp", "hxx"), "cpp"),
    "rs": "rust",
    "sql": "sql",
    **dict.fromkeys(_CODE_SUFFIXES, "code"),
}
"""Among kinds of text that the content cannot tell apart; anything else is plain text."""

_ADVICE = {
    "DOC document": "Open it in Word or LibreOffice and save it as DOCX.",
    "PPT presentation": "Open it in PowerPoint or LibreOffice and save it as PPTX.",
    "ODG drawing": "Export it from LibreOffice Draw as PDF.",
    "OpenOffice.org 1 document": "Open it in LibreOffice and save it as ODT, ODS or ODP.",
    "iWork document": "Export it from Pages, Numbers or Keynote as DOCX, XLSX, PPTX or PDF.",
    "HWP 3 document": "Open it in Hancom Office and save it as HWPX, HWP 5 or PDF.",
    "icon image": "Save it as PNG, or exclude it.",
    "Photoshop image": "Export it as PNG or JPEG, or exclude it.",
    "SVG image": "Export it as PNG, or exclude it.",
    "JPEG XL image": "Save it as JPEG or PNG, or exclude it.",
    "JPEG 2000 image": "Save it as JPEG or PNG, or exclude it.",
    "Outlook mail store": "Export its messages as EML or MSG files, or exclude it.",
    "SQLite database": "Export its tables as CSV, or exclude it.",
    "Parquet table": "Export it as CSV, or exclude it.",
}


def advice_for(kind: str) -> str:
    """What to do with a file of a kind that no parser takes."""
    if kind in _ADVICE:
        return _ADVICE[kind]
    if kind.endswith("image"):
        return "Put images into a collection of images, or exclude them."
    if kind.endswith("archive"):
        return "Unpack it into the source, or exclude it."
    if kind.endswith(("document", "(OLE)", "sheet", "presentation")):
        return "Save it as PDF, DOCX, HTML or text, or exclude it."
    return "Exclude it from the source."
