"""The formats: which parser reads what, with which rungs, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Feature = Literal["headings", "tables", "pages", "metadata"]


@dataclass(frozen=True, slots=True)
class Parser:
    """Where a parser is, what its result depends on, and what it finds.

    The functions are ``module:function``, imported at first use; each takes the file's bytes
    and returns a `ParsedDocument`. Where the first fails, hangs, crashes or finds nothing, the
    next one has a try: the ladder fast, thorough, plain text.

    Attributes:
        formats: what it reads, for the table in docs/FORMATS.md.
        fast: the first rung.
        version: raised by hand whenever the same bytes may give another result.
        features: what it finds beside the text.
        libraries: distributions whose version is part of the parser's version.
        thorough: the second rung, "" for none: another library, slower and more forgiving.
        plain: the last rung, "" for none: text without structure.
        reads_scans: whether a page of it may need OCR.
    """

    formats: str
    fast: str
    version: int
    features: tuple[Feature, ...] = ()
    libraries: tuple[str, ...] = ()
    thorough: str = ""
    plain: str = ""
    reads_scans: bool = False

    @property
    def rungs(self) -> tuple[tuple[str, str], ...]:
        """(name, function) of each rung, in the order in which they are tried."""
        named = (("fast", self.fast), ("thorough", self.thorough), ("plain text", self.plain))
        return tuple((name, function) for name, function in named if function)


PARSERS: dict[str, Parser] = {
    "text": Parser("plain text", "tasks.parsing.text:parse", 3, (), ("charset-normalizer",)),
    "markdown": Parser(
        "Markdown",
        "tasks.parsing.markdown:parse",
        4,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "lxml", "markdown-it-py", "PyYAML"),
        plain="tasks.parsing.text:parse",
    ),
    "html": Parser(
        "HTML",
        "tasks.parsing.markup:parse",
        2,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "lxml", "unstructured"),
        thorough="tasks.parsing.unstructured_rung:parse_html",
        plain="tasks.parsing.xml:parse_html_plain",
    ),
    "pdf": Parser(
        "PDF",
        "tasks.parsing.pdf:parse",
        2,
        ("headings", "pages", "metadata"),
        ("pypdfium2", "pypdf"),
        thorough="tasks.parsing.pdf_plain:parse",
        reads_scans=True,
    ),
    "image": Parser(
        "PNG, JPEG, GIF, WebP, TIFF, BMP, HEIC, AVIF (by OCR)",
        "tasks.parsing.image:parse",
        2,
        ("pages", "metadata"),
        ("Pillow", "pi-heif"),
        reads_scans=True,
    ),
    "docx": Parser(
        "DOCX, DOCM",
        "tasks.parsing.office:parse",
        3,
        ("headings", "tables", "metadata"),
        ("lxml", "unstructured", "python-docx"),
        thorough="tasks.parsing.unstructured_rung:parse_docx",
        plain="tasks.parsing.damaged_package:parse_docx",
    ),
    "pptx": Parser(
        "PPTX, PPTM",
        "tasks.parsing.pptx:parse",
        1,
        ("headings", "tables", "pages", "metadata"),
        ("lxml", "unstructured", "python-pptx"),
        thorough="tasks.parsing.unstructured_rung:parse_pptx",
        plain="tasks.parsing.damaged_package:parse_pptx",
    ),
    "spreadsheet": Parser(
        "XLSX, XLSM, XLSB, XLS, ODS, FODS",
        "tasks.parsing.spreadsheet:parse",
        2,
        ("headings", "tables", "pages", "metadata"),
        ("python-calamine", "lxml", "olefile", "openpyxl"),
        thorough="tasks.parsing.spreadsheet:parse_thorough",
        plain="tasks.parsing.damaged_package:parse_spreadsheet",
    ),
    "opendocument": Parser(
        "ODT, ODP, FODT, FODP",
        "tasks.parsing.opendocument:parse",
        1,
        ("headings", "tables", "metadata"),
        ("lxml",),
        plain="tasks.parsing.damaged_package:parse_opendocument",
    ),
    "epub": Parser(
        "EPUB",
        "tasks.parsing.epub:parse",
        1,
        ("headings", "tables", "metadata"),
        ("lxml", "charset-normalizer"),
        plain="tasks.parsing.damaged_package:parse_epub",
    ),
    "csv": Parser(
        "CSV, TSV",
        "tasks.parsing.delimited:parse",
        2,
        ("tables",),
        ("charset-normalizer",),
        plain="tasks.parsing.text:parse",
    ),
    "archive": Parser("ZIP, TAR, GZ, BZ2, XZ (their files are documents)", "tasks.parsing.archives:parse", 1),
    "rst": Parser(
        "reStructuredText",
        "tasks.parsing.rst:parse",
        2,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "docutils"),
        plain="tasks.parsing.rst:parse_plain",
    ),
    "json": Parser(
        "JSON",
        "tasks.parsing.data:parse_json",
        2,
        ("headings", "tables", "metadata"),
        ("charset-normalizer",),
        plain="tasks.parsing.data:parse_plain",
    ),
    "jsonl": Parser(
        "JSON lines",
        "tasks.parsing.data:parse_jsonl",
        2,
        (),
        ("charset-normalizer",),
        plain="tasks.parsing.data:parse_plain",
    ),
    "xml": Parser(
        "XML: records, RSS, Atom, DocBook, TEI, JATS",
        "tasks.parsing.xml:parse",
        2,
        ("headings", "metadata"),
        ("charset-normalizer", "lxml"),
        plain="tasks.parsing.xml:parse_plain",
    ),
    "notebook": Parser(
        "Jupyter notebooks",
        "tasks.parsing.notebook:parse",
        2,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "lxml", "markdown-it-py", "PyYAML"),
        plain="tasks.parsing.data:parse_plain",
    ),
    **{
        name: Parser(
            f"{title} source code",
            f"tasks.parsing.code:parse_{name}",
            2 if name == "python" else 1,
            (),
            ("charset-normalizer", "tree-sitter", f"tree-sitter-{name}"),
            plain="tasks.parsing.code:parse",
        )
        for name, title in (
            ("python", "Python"),
            ("javascript", "JavaScript"),
            ("typescript", "TypeScript"),
            ("java", "Java"),
            ("go", "Go"),
            ("c", "C"),
            ("cpp", "C++"),
            ("rust", "Rust"),
            ("sql", "SQL"),
        )
    },
    "code": Parser("other source code", "tasks.parsing.code:parse", 2, (), ("charset-normalizer",)),
    "hwp": Parser(
        "HWP 5",
        "tasks.parsing.hwp:parse",
        1,
        ("headings", "tables", "metadata"),
        ("olefile", "unhwp", "markdown-it-py"),
        thorough="tasks.parsing.hwp:parse_thorough",
        plain="tasks.parsing.hwp:parse_plain",
    ),
    "hwpx": Parser(
        "HWPX",
        "tasks.parsing.hwpx:parse",
        1,
        ("headings", "tables", "metadata"),
        ("lxml", "unhwp", "markdown-it-py"),
        thorough="tasks.parsing.hwpx:parse_thorough",
        plain="tasks.parsing.hwpx:parse_plain",
    ),
    "mail": Parser(
        "mail (EML)",
        "tasks.parsing.mail:parse",
        1,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "lxml"),
        plain="tasks.parsing.mail:parse_plain",
    ),
    "rtf": Parser(
        "RTF",
        "tasks.parsing.rtf:parse",
        2,
        ("headings", "tables", "metadata"),
        (),
        plain="tasks.parsing.rtf:parse_plain",
    ),
    "outlook": Parser(
        "Outlook message (MSG)",
        "tasks.parsing.outlook:parse",
        1,
        ("headings", "tables", "metadata"),
        ("charset-normalizer", "lxml", "olefile"),
        plain="tasks.parsing.outlook:parse_plain",
    ),
}
"""By name. The name is part of a version's identity: a renamed parser parses all its files anew."""
