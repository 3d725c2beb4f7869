"""XML: prose by its paragraphs, data by its records, feeds by their entries.

Entities are never resolved and nothing beside the file itself is read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

from schemas.document import Element, Metadata, ParsedDocument
from schemas.errors import ParseFailed
from tasks.parsing.encodings import decode
from tasks.parsing.facts import metadata_from
from tasks.parsing.text import split_blank_lines
from tasks.parsing.xml_elements import feed_elements, local, prose_elements, record_elements, text_of

if TYPE_CHECKING:
    from lxml.etree import XMLSyntaxError, _Element

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
_SUBSET = re.compile(r"<!DOCTYPE[^\[>]{0,500}\[.{0,50000}?\]\s*>", re.S)
_ENTITY = re.compile(rb"<!ENTITY\s")
_SUBSET_BYTES = 64 * 1024
_TAG = re.compile(r"<[^<>]*>")
_BLANKS = re.compile(r"[ \t]*\n(?:[ \t]*\n)*[ \t]*")
_FEEDS = frozenset(("rss", "feed", "RDF"))
_PROSE_ROOTS = frozenset(
    "article book chapter section topic concept task reference TEI teiCorpus FictionBook refentry doc".split()
)
_PROSE_SHARE = 0.1


def parse(data: bytes) -> ParsedDocument:
    """Elements by what the XML is: a feed, prose with mixed content, or records.

    Raises:
        ParseFailed: it is not well formed, nested too deep, or declares entities.
    """
    root = _root(data)
    if local(root) in _FEEDS:
        elements = feed_elements(root)
    elif local(root) in _PROSE_ROOTS or _is_mixed(root):
        elements = prose_elements(root)
    else:
        elements = record_elements(root)
    return ParsedDocument("xml", "application/xml", tuple(elements), _metadata(root))


def parse_plain(data: bytes) -> ParsedDocument:
    """The text between the tags, for what no XML parser takes."""
    text = _CDATA.sub("", _SUBSET.sub("", decode(data), count=1))
    text = unescape(_BLANKS.sub("\n", _TAG.sub("\n", text)))
    return ParsedDocument("xml", "text/plain", tuple(map(Element, split_blank_lines(text))))


def parse_html_plain(data: bytes) -> ParsedDocument:
    """The same for HTML."""
    return replace(parse_plain(data), parser="html")


def _root(data: bytes) -> _Element:
    from lxml import etree

    try:
        root = _read(data)
    except etree.XMLSyntaxError:
        try:  # the declaration may name an encoding that the file is not in
            root = _read(_DECLARATION.sub("", decode(data), count=1).encode("utf-8", "replace"))
        except etree.XMLSyntaxError as exc:
            raise _refused(data, exc) from exc
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise _declares_entities()
    _write_out(root)
    return root


def _refused(data: bytes, exc: XMLSyntaxError) -> ParseFailed:
    """What is wrong with it; libxml2 has its own words for bombs and depth."""
    if _ENTITY.search(data[:_SUBSET_BYTES]):
        return _declares_entities()
    if "depth" in (exc.msg or ""):
        return ParseFailed(
            "The XML is nested too deep.", advice="Exclude it if nothing of it is worth finding."
        )
    return ParseFailed(
        f"The XML is not well formed (line {exc.lineno}).", advice="Correct it there, or exclude the file."
    )


def _declares_entities() -> ParseFailed:
    return ParseFailed(
        "The XML declares entities, which are never expanded.",
        advice="Write their text where they are used, or exclude the file.",
    )


def _read(data: bytes) -> _Element:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    return etree.fromstring(data, parser)


def _write_out(root: _Element) -> None:
    """Put the character of a well-known entity (``&nbsp;``) in its place."""
    from lxml import etree

    for entity in list(root.iter(etree.Entity)):
        text = unescape(entity.text or "") + (entity.tail or "")
        before, parent = entity.getprevious(), entity.getparent()
        if before is not None:
            before.tail = (before.tail or "") + text
        elif parent is not None:
            parent.text = (parent.text or "") + text
        if parent is not None:
            entity.tail = None
            parent.remove(entity)


def _is_mixed(root: _Element) -> bool:
    """Whether text stands beside elements, as in prose and never in records."""
    texts = mixed = 0
    for node in root.iter():
        if node.text and not node.text.isspace():
            texts += 1
            mixed += len(node) > 0
        elif node.tail and not node.tail.isspace():
            mixed += 1
    return mixed > 0 and mixed >= _PROSE_SHARE * texts


def _metadata(root: _Element) -> Metadata:
    """Title, author, date and language of the document's own head."""
    wanted = {"title": "title", "article-title": "title", "author": "author", "creator": "author",
              "pubDate": "date", "date": "date", "updated": "date", "language": "language"}  # fmt: skip
    facts: dict[str, object] = {}
    head = root[0] if local(root) == "rss" and len(root) else root
    nodes = [node for child in head.iterchildren() for node in (child, *child.iterchildren())]
    for node in nodes[:200]:
        name = wanted.get(local(node))
        own = local(node.getparent()) not in ("item", "entry")
        if name and own and name not in facts and (text := text_of(node)):
            facts[name] = text
    language = root.get("{http://www.w3.org/XML/1998/namespace}lang")
    return metadata_from({**facts, **({"language": language} if language else {})})
