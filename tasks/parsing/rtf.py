"""RTF: paragraphs, headings by outline level or style, lists, tables and notes.

An own reader of tokens: striprtf and unstructured (by pandoc) give neither headings nor merged
cells, and Korean text depends on the code page of the current font.
"""

from __future__ import annotations

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import ParseFailed
from tasks.parsing.rtf_blocks import Blocks, Group, Info, Paragraph
from tasks.parsing.rtf_words import (
    CHARSETS,
    DATES,
    INFO,
    SKIPPED,
    SYMBOLS,
    TIME_FIELDS,
    TOKEN,
    TRANSPARENT,
    codec_of,
    decode_page,
)

MIME = "application/rtf"
_DEFAULT = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_PARAGRAPH_ENDS = frozenset(("par", "sect", "page", "column"))
_SCRIPTS = frozenset(("loch", "hich", "dbch"))
_CELL_MERGES = frozenset(("clmgf", "clmrg", "clvmgf", "clvmrg"))


def parse(data: bytes) -> ParsedDocument:
    """Headings, paragraphs, list items and tables, notes at the end, the document's information."""
    return _parse(data, keeps_unknown=False)


def parse_plain(data: bytes) -> ParsedDocument:
    """Also what stands in destinations that the specification does not know."""
    return _parse(data, keeps_unknown=True)


def _parse(data: bytes, *, keeps_unknown: bool) -> ParsedDocument:
    if not data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{\\rtf"):
        raise ParseFailed("The file does not begin like RTF.", advice="Save it again as RTF or DOCX.")
    reader = _Reader(keeps_unknown=keeps_unknown)
    reader.read(data)
    problems = (_cut_off(),) if reader.depth > 0 else ()
    return ParsedDocument("rtf", MIME, reader.blocks.finish(), reader.info.metadata(), problems=problems)


def rtf_elements(data: bytes) -> tuple[Element, ...]:
    """Elements of RTF inside another format."""
    return parse(data).elements


class _Reader:
    """One pass over the tokens; groups on a list, so that nesting costs no stack."""

    def __init__(self, *, keeps_unknown: bool) -> None:
        self.blocks = Blocks()
        self._keeps_unknown = keeps_unknown
        self._groups: list[Group] = []
        self._now = Group(sink="skip")
        self._codec = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = self._style = 0
        self.info = Info()
        self._pending = bytearray()
        self._pending_codec = "cp1252"
        self._skip = 0
        self._is_first = self._is_starred = False

    @property
    def depth(self) -> int:
        """How many groups are open."""
        return len(self._groups)

    def read(self, data: bytes) -> None:
        """Take in the whole file."""
        at, end, match_at = 0, len(data), TOKEN.match
        while at < end and (match := match_at(data, at)):
            at = match.end()
            kind = match.lastgroup
            if kind == "text":
                self._bytes(match[0])
            elif kind == "hex":
                self._bytes(bytes.fromhex(match[0].replace(b"\\'", b"").decode("ascii")))
            elif kind == "brace":
                self._brace(match[0])
            elif kind == "symbol":
                self._symbol(match["symbol"])
            elif kind in ("word", "number"):
                word = match["word"].decode("ascii")
                number = int(match["number"]) if match["number"] else None
                if word == "bin":
                    at += max(number or 0, 0)
                else:
                    self._word(word, number)
        self._flush()

    # --- text ---------------------------------------------------------------------------

    def _bytes(self, data: bytes) -> None:
        self._is_first = False
        if self._now.sink == "skip" or self._now.is_hidden:
            return
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        codec = self._current_codec()
        if codec != self._pending_codec:
            self._flush()
            self._pending_codec = codec
        self._pending += data

    def _current_codec(self) -> str:
        now = self._now
        font = now.east_font if now.script == "dbch" and now.east_font >= 0 else now.font
        return self._fonts.get(font, self._codec)

    def _flush(self) -> None:
        if self._pending:
            text = decode_page(bytes(self._pending), self._pending_codec)
            self._pending.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        sink = self._now.sink
        if sink in INFO:
            self.info.put(sink, text)
        elif sink == "style":
            self.blocks.name_style(self._style, text)
        elif sink in ("body", "marker", "note"):
            self.blocks.put(text, sink)

    def _write(self, text: str) -> None:
        self._flush()
        if not self._now.is_hidden:
            self._put(text)

    # --- structure ----------------------------------------------------------------------

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._skip = 0
        self._is_first, self._is_starred = brace == b"{", False
        if brace == b"{":
            self._groups.append(self._now)
            if self._now.sink != "skip":  # nothing can change in a skipped group
                self._now, skips = self._now.inner(), self._now.skips_next
                if skips:
                    self._groups[-1].skips_next, self._now.sink = False, "skip"
        elif self._groups:
            if self._now.sink == "note" and self._groups[-1].sink != "note":
                self.blocks.end_note()
            self._now = self._groups.pop()

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._is_starred = self._is_first
            return
        self._is_first = False
        if self._skip:
            self._skip -= 1
        elif symbol in b"\r\n":
            self._end_paragraph()
        elif text := SYMBOLS.get(symbol.decode("latin-1")):
            self._write(text)

    def _word(self, word: str, number: int | None) -> None:
        is_first, is_starred = self._is_first, self._is_starred
        self._is_first = self._is_starred = False
        if word == "rtf" and is_first and len(self._groups) == 1:
            self._now = Group(sink="body")
        elif self._now.sink == "skip" or (is_first and self._enter(word, is_starred=is_starred)):
            return
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word in SYMBOLS:
            self._write(SYMBOLS[word])
        elif word in _PARAGRAPH_ENDS:
            self._end_paragraph()
        elif not self._character_word(word, number):
            self._paragraph_word(word, number)

    def _enter(self, word: str, *, is_starred: bool) -> bool:
        """Whether the word begins a destination."""
        if word in SKIPPED or (is_starred and not self._is_known(word) and not self._keeps_unknown):
            self._now.sink = "skip"
        elif word in ("fonttbl", "stylesheet"):
            self._now.sink = "font" if word == "fonttbl" else "style"
        elif word == "info":
            self._now.sink = "info"
        elif (word in INFO or word in DATES) and self._now.sink == "info":
            self._now.sink = word
        elif word in ("listtext", "pntext"):
            self._now.sink = "marker"
        elif word == "upr":
            self._now.skips_next = True
        elif word == "footnote":
            self._now.sink, self._now.paragraph = "note", Paragraph()
        else:
            return word in TRANSPARENT
        return True

    @staticmethod
    def _is_known(word: str) -> bool:
        return word in TRANSPARENT or word in ("footnote", "listtext", "pntext")

    def _unicode(self, number: int) -> None:
        self._write(chr(number % 0x10000))
        self._skip = self._now.fallback_chars

    def _end_paragraph(self) -> None:
        self._flush()
        if self._now.sink == "body":
            self.blocks.end_paragraph(self._now.paragraph)
        elif self._now.sink == "note":
            self.blocks.put("\n", "note")

    def _character_word(self, word: str, number: int | None) -> bool:
        """Whether the word was about characters: fonts, code pages, hidden text."""
        now, value = self._now, number or 0
        if word in ("f", "af"):
            self._set_font(value, is_east=now.script == "dbch")
        elif word == "fcharset":
            if now.sink == "font" and value in CHARSETS:
                self._fonts[self._font] = CHARSETS[value]
        elif word in _SCRIPTS:
            now.script = word
        elif word == "uc":
            now.fallback_chars = min(max(value, 0), 16)
        elif word in ("v", "deleted"):
            self._flush()
            now.is_hidden = number != 0
        elif word == "plain":
            now.is_hidden, now.script = False, "loch"
        elif word == "ansicpg":
            self._codec = codec_of(value)
        elif word in _DEFAULT:
            self._codec = _DEFAULT[word]
        else:
            return False
        return True

    def _set_font(self, number: int, *, is_east: bool) -> None:
        if self._now.sink == "font":
            self._font = number
        elif is_east:
            self._now.east_font = number
        else:
            self._now.font = number

    def _paragraph_word(self, word: str, number: int | None) -> None:
        now, value = self._now, number or 0
        if now.sink in DATES and word in TIME_FIELDS:
            self.info.set_time(now.sink, word, value)
        elif now.sink == "style":
            self._style = value if word == "s" else self._style
            if word == "outlinelevel":
                self.blocks.level_style(self._style, value)
        elif word == "pard":
            now.paragraph = Paragraph()
        elif word == "s":
            now.paragraph = Paragraph(value, now.paragraph.level, now.paragraph.in_table)
        elif word == "outlinelevel":
            now.paragraph = Paragraph(now.paragraph.style, value, now.paragraph.in_table)
        elif word == "intbl":
            now.paragraph = Paragraph(now.paragraph.style, now.paragraph.level, True)
        elif now.sink == "body":
            self._table_word(word, value)

    def _table_word(self, word: str, number: int) -> None:
        if word in ("cell", "nestcell", "row", "nestrow", "trowd", "cellx"):
            self._flush()
            self.blocks.table_word(word, number)
        elif word in _CELL_MERGES:
            self.blocks.merge(word)


def _cut_off() -> PartProblem:
    return PartProblem(
        "end", "ParseFailed", "The file ends inside its text. Fetch it again if it was longer."
    )
