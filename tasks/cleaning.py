"""Elements to one text: invisible characters out, wrapped lines joined, headings as paths."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from schemas.document import Block, CleanDocument, Element, ParsedDocument

CLEANING_VERSION = 1
"""Raised whenever the same elements may give another text."""

SEPARATOR = "\n\n"
HEADING_SEPARATOR = " > "
MAX_HEADING_CHARS = 200

# Cc but tab and newline, surrogates, noncharacters, zero-width and bidirectional signs, and
# tag characters (they hide text from a reader, not from a model).
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u00ad\u034f"
    "\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# Joiners carry meaning inside emoji and some scripts, none after Latin or Hangul.
_STRAY_JOINER = re.compile("(?<![^\x00-\x7f\uac00-\ud7a3])[\u200c\u200d]+")
MAX_MARKS = 32
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Neither pattern matches what is right already: a substitution costs more than a search.
_ODD_SPACES = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_SPACES = re.compile(f"[ {_ODD_SPACES}]{{2,}}|[{_ODD_SPACES}]")
_EDGE_SPACES = re.compile(" \n ?|\n ")
_BLANK_LINES = re.compile("\n{3,}")
# The look-behind and the possessive repeats keep a megabyte without a space linear.
_HYPHENATED = re.compile(r"(?<![^\W\d_])[^\W\d_]++(?:-[^\W\d_]++)+")
_LAST_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_CJK = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uff60]")
_SENTENCE_ENDS = (".", "!", "?", "。", "！", "？")
_SHORT_LINE = 0.6
_SOFT_HYPHEN = "\u00ad"


def clean(parsed: ParsedDocument) -> CleanDocument:
    """The document's text and its blocks; a block without text is left out.

    Heading blocks carry the path that ends with themselves. Time is linear in the size.
    """
    compounds = _compounds(parsed.elements)
    path: list[tuple[int, str]] = []
    blocks: list[Block] = []
    start = 0
    for element in parsed.elements:
        text = _clean_text(element, compounds)
        if not text:
            continue
        if element.kind == "heading":
            path = [*(step for step in path if step[0] < element.level), (element.level, text)]
        end = start + len(text)
        heading = HEADING_SEPARATOR.join(title[:MAX_HEADING_CHARS] for _, title in path)
        symbol = clean_line(element.symbol)
        blocks.append(Block(text, element.kind, start, end, element.page, heading, symbol))
        start = end + len(SEPARATOR)
    return CleanDocument(SEPARATOR.join(block.text for block in blocks), tuple(blocks))


def clean_line(text: str) -> str:
    """A single line of visible characters, for titles, names and tags."""
    return " ".join(_collapse(_visible(_LINE_ENDS.sub("\n", text))).split())


def _clean_text(element: Element, compounds: frozenset[str]) -> str:
    text = _LINE_ENDS.sub("\n", element.text)
    if element.kind == "code":
        return "\n".join(line.rstrip(" \t") for line in _visible(text).split("\n")).strip("\n")
    if element.kind == "table":
        return _collapse(_visible(text)).replace("\n\n", "\n")
    if element.wrapped:
        text = _join_lines(text, compounds)
    text = _collapse(_visible(text))
    return " ".join(text.split("\n")) if element.kind == "heading" else text


def _visible(text: str) -> str:
    """NFC without characters that nobody sees."""
    if text.isascii():
        return _INVISIBLE.sub("", text)
    text = _INVISIBLE.sub("", text)
    marks = _mark_runs(bmp=_BEYOND_BMP.search(text) is None)
    text = unicodedata.normalize("NFC", marks.sub(lambda run: run[0][:MAX_MARKS], text))
    return _STRAY_JOINER.sub("", text) if "\u200c" in text or "\u200d" in text else text


@cache
def _mark_runs(*, bmp: bool) -> re.Pattern[str]:
    """Runs of combining marks longer than any script has; NFC takes quadratic time on them.

    A set within the BMP is a bitmap to `re`, beyond it a list: fifty times slower.
    Source: the stream-safe text format of UAX #15 (30 marks).
    """
    end = 0x10000 if bmp else 0x1F000
    marks = "".join(chr(c) for c in range(0x300, end) if unicodedata.combining(chr(c)))
    return re.compile(f"[{marks}][{marks}]{{{MAX_MARKS},}}")


def _collapse(text: str) -> str:
    text = _EDGE_SPACES.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()


# --- wrapped lines -------------------------------------------------------------------


def _compounds(elements: Iterable[Element]) -> frozenset[str]:
    """Words that the document writes with a hyphen inside a line, lower case."""
    return frozenset(
        word.lower() for element in elements if element.wrapped for word in _HYPHENATED.findall(element.text)
    )


def _join_lines(text: str, compounds: frozenset[str]) -> str:
    """The text with its wrapped lines joined.

    A line that ends with a space is joined by one. Without it a divided word is put
    together, next to Hangul and between Chinese or Japanese nothing is put, and anything
    else gets a space. A blank line, and a short line with a full stop, end a paragraph.
    """
    lines = text.split("\n")
    full = max(map(_width, lines))
    pieces: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if not line.strip() or not after.strip():
            pieces += (line, "\n")
        elif line.rstrip().endswith(_SENTENCE_ENDS) and _width(line) < _SHORT_LINE * full:
            pieces += (line, "\n\n")
        else:
            pieces += _joined(line, after, compounds)
    return "".join(pieces)


def _joined(line: str, after: str, compounds: frozenset[str]) -> tuple[str, str]:
    """The line and what stands between it and the next one."""
    body, start = line.rstrip(), after.lstrip()
    if body.endswith(("-", _SOFT_HYPHEN)) and body[-2:-1].isalpha():
        return _without_hyphen(body, start, compounds), ""
    if line[-1].isspace() or after[0].isspace():
        return body, " "
    return body, "" if _is_written_together(body[-1], start[0]) else " "


def _without_hyphen(body: str, start: str, compounds: frozenset[str]) -> str:
    """The line without the hyphen that its break brought; a compound's own hyphen stays."""
    first, last = _FIRST_WORD.match(start), _LAST_WORD.search(body[-80:-1])
    if first and last:
        compound = f"{last[0]}-{first[0]}".lower() in compounds
        same_case = start[0].islower() or (last[0].isupper() and first[0].isupper())
        if same_case and not compound:
            return body[:-1]
    return body[:-1] + "-"


def _is_written_together(before: str, after: str) -> bool:
    return bool(_HANGUL.match(before) or _HANGUL.match(after)) or bool(
        _CJK.match(before) and _CJK.match(after)
    )


def _width(line: str) -> int:
    """Columns of a line, about: one for ASCII, two for Hangul (one and three bytes)."""
    return (len(line.encode("utf-8", "surrogatepass")) + len(line)) // 2
