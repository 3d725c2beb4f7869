"""EPUB: the chapters in reading order, each read as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element, Metadata, ParsedDocument, PartProblem
from schemas.errors import DocumentError
from tasks.parsing.dates import parse_date
from tasks.parsing.markup import decode_html, fragment_elements
from tasks.parsing.package import Package, damaged, encrypted, open_package, resolve

if TYPE_CHECKING:
    from lxml.etree import _Element

MIME = "application/epub+zip"
MAX_VALUE_CHARS = 2000

_HTML_TYPES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
_FONT_MASKS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
# Of a page, these repeat on every one; of a chapter they are its title and its notes.
_PAGE_PARTS = re.compile(r"<(/?)(?:header|aside)(?=[\s>/])", re.I)
_SELF_CLOSED = re.compile(r"<([A-Za-z][\w:-]{0,40})((?:\s[^<>]*)?)/>")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "wbr")
)


def parse(data: bytes) -> ParsedDocument:
    """Elements of the chapters in the order of the spine, without the table of contents.

    Raises:
        EncryptedDocument: a chapter is under DRM.
    """
    package = open_package(data)
    opf = _opf(package)
    root = package.xml(opf)
    chapters = _chapters(package, root, opf)
    _refuse_drm(package, chapters)
    elements: list[Element] = []
    problems: list[PartProblem] = []
    for number, name in enumerate(chapters, 1):
        try:
            elements += chapter_elements(package.read(name))
        except DocumentError as error:
            problems.append(PartProblem(f"chapter {number}", type(error).__name__, str(error)))
    if problems and not elements:
        raise damaged("no chapter of it can be read")
    found = (*package.problems, *problems)
    return ParsedDocument("epub", MIME, tuple(elements), _metadata(root), problems=found)


def chapter_elements(data: bytes) -> tuple[Element, ...]:
    """Elements of one XHTML file; a page's parts that `markup` drops are a chapter's own."""
    text = _PAGE_PARTS.sub(r"<\1div", decode_html(data))
    return fragment_elements(_SELF_CLOSED.sub(_closed, text))


def _closed(match: re.Match[str]) -> str:
    """``<title/>`` as ``<title></title>``: HTML would take all that follows as the title."""
    name, attributes = match.groups()
    return match[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"


def _opf(package: Package) -> str:
    """Name of the package document that the container names, else of the only one there is."""
    container = package.optional_xml("META-INF/container.xml")
    named = [resolve("", node.get("full-path") or "") for node in container.iter("{*}rootfile")]
    for name in (*named, *(name for name in package.names() if name.lower().endswith(".opf"))):
        if name in package:
            return name
    raise damaged("its list of chapters is missing")


def _chapters(package: Package, root: _Element, opf: str) -> list[str]:
    """Names of the chapters in reading order, each once, without tables of contents."""
    items = {node.get("id"): node for node in root.iterfind("{*}manifest/{*}item")}
    contents = {
        resolve(opf, node.get("href") or "")
        for node in root.iterfind("{*}guide/{*}reference")
        if (node.get("type") or "").lower() == "toc"
    }
    names = []
    for reference in root.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or (item.get("media-type") or "").lower() not in _HTML_TYPES:
            continue
        name = resolve(opf, item.get("href") or "")
        if "nav" not in (item.get("properties") or "").split() and name not in contents:
            names.append(name)
    if names:
        return list(dict.fromkeys(names))
    return sorted(name for name in package.names() if name.lower().endswith((".xhtml", ".html", ".htm")))


def _refuse_drm(package: Package, chapters: list[str]) -> None:
    """Raise EncryptedDocument where a chapter is encrypted; masked fonts hinder nobody."""
    hidden = set()
    for node in package.optional_xml("META-INF/encryption.xml").iter("{*}EncryptedData"):
        method = node.find("{*}EncryptionMethod")
        if method is None or method.get("Algorithm") not in _FONT_MASKS:
            hidden |= {resolve("", uri.get("URI") or "") for uri in node.iter("{*}CipherReference")}
    if hidden & set(chapters):
        raise encrypted()


def _metadata(root: _Element) -> Metadata:
    facts: dict[str, list[str]] = {}
    for node in _facts(root):
        name = (node.get("property") or node.tag.rpartition("}")[2]).rpartition(":")[2].lower()
        text = " ".join("".join(node.itertext()).split())[:MAX_VALUE_CHARS]
        if text:
            facts.setdefault(name, []).append(text)
    first = {name: values[0] for name, values in facts.items()}
    return Metadata(
        title=first.get("title"),
        author=", ".join(facts.get("creator", [])[:10]) or None,
        authored_at=parse_date(first.get("date") or "") or parse_date(first.get("modified") or ""),
        language=re.split("[-_]", first.get("language", "").lower())[0] or None,
        tags=tuple(facts.get("subject", [])[:50]),
        extra={key: first[key] for key in ("publisher", "description") if key in first},
    )


def _facts(root: _Element) -> Iterator[_Element]:
    for metadata in root.iterchildren("{*}metadata"):
        for node in metadata.iter("*"):
            if node.tag.startswith("{http://purl.org/dc/") or node.get("property") == "dcterms:modified":
                yield node
