"""Which parser takes a text: by marks that only one kind has, else by the file's name."""

from __future__ import annotations

import json
import re
from itertools import islice

from tasks.parsing.kinds import PARSER_OF_SUFFIX

_START_CHARS = 8192
_PROLOGUE = re.compile(r"\s*(?:<\?xml[^>]{0,200}\?>\s*|<!--.{0,4000}?-->\s*){0,4}", re.S)
_HTML = re.compile(r"<(?:!doctype\s+html|html[\s>])", re.I)
_SVG = re.compile(r"<(?:!doctype\s+svg|svg[\s>])", re.I)
_FLAT_ODF = re.compile(
    r"<office:document\s[^<>]{0,16000}\boffice:mimetype\s*=\s*[\"']application/vnd\.oasis\.opendocument\.(\w+)"
)
_FLAT_PARSERS = {
    "text": "opendocument",
    "presentation": "opendocument",
    "spreadsheet": "spreadsheet",
    "graphics": "ODG drawing",
}
_XML_DECLARATION = re.compile(r"\s*<\?xml\s")
_ROOT = re.compile(r"<([A-Za-z_][\w:.-]{0,100})((?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*>")
_DOCTYPE = re.compile(r"<!DOCTYPE\s+[\w:.-]+", re.I)
_HTML_PARTS = frozenset("article body div head main p section span table ul ol h1 h2 h3 b i a br img".split())

_MBOX_LINE = re.compile(r"From \S+ .*\d{4}\s*\n")
_HEADER_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60}):[ \t\n]")
_MAIL_HEADERS = frozenset(
    """
    from to cc bcc subject date received return-path mime-version message-id reply-to sender delivered-to
    content-type content-transfer-encoding in-reply-to references dkim-signature x-mailer list-id
    authentication-results x-received envelope-to
    """.split()
)
_SHEBANG = re.compile(r"#!\s*\S*?(?:env\s+(?:-S\s+)?)?([\w.-]+)(?:\s|$)")
_INTERPRETERS = (("python", "python"), ("node", "javascript"), ("deno", "typescript"), ("bun", "typescript"))
_CPP = re.compile(r"^[^\S\n]*+(?:class\s+\w|namespace\s|template\s*<|using\s+\w|public:)", re.M)

_DIRECTIVE = re.compile(r"^\.\. (?:[a-z][a-z-]+::|_[^:\n]+:\s)", re.M)
_UNDERLINED = re.compile(r"^[^\s].{2,}\n(?:={3,}|-{3,}|~{3,}|\*{3,})\n", re.M)
# (what each match holds, the mark, how often it must be there). To look for the characters first
# takes a tenth of the time. No pattern runs on from one possible start over the next ones, or a
# text of brackets would take quadratic time.
_MARKDOWN = (
    ("# ", re.compile(r"^#{1,6} \S.*\n", re.M), 2),
    ("```", re.compile(r"^```\w*$", re.M), 1),
    ("](", re.compile(r"\[[^\[\]\n]+\]\((?:https?:|\.{0,2}/|#)[^\[)\n]*\)"), 1),
    ("|", re.compile(r"^\|(?: *:?-{3,}:? *\|)+$", re.M), 1),
    ("**", re.compile(r"\*\*[^*\n]+\*\*"), 1),
)
_TABLE_MIN_ROWS = 5
_MAX_CELL_CHARS = 200


def kind_of_text(head: str, suffix: str, *, whole: bool) -> str:
    """Name of a parser, or ``SVG image``, or ``ODG drawing``.

    Args:
        head: the start of the text.
        suffix: of the file's name, lower case; "" or anything else where it has none.
        whole: whether `head` is all of the text.
    """
    body = head.lstrip("\ufeff\xef\xbb\xbf")
    start = body[:_START_CHARS]
    named = PARSER_OF_SUFFIX.get(suffix)
    if kind := _markup(body, start, named, whole=whole):
        return kind
    if _is_mail(start):
        return "mail"
    if named not in _KEEP and (kind := _json(body, named, whole=whole)):
        return kind
    if named in ("c", "cpp"):
        return "cpp" if _CPP.search(body) else named
    return named or _unnamed(body, start)


_KEEP = frozenset(PARSER_OF_SUFFIX.values()) - {"json", "jsonl", "notebook", "csv", "html", "xml", "mail"}
"""Kinds whose own notation may look like JSON: a block, a list, a dictionary."""


def _markup(body: str, start: str, named: str | None, *, whole: bool) -> str | None:
    prologue = _PROLOGUE.match(start)
    offset = prologue.end() if prologue else 0
    if _HTML.match(start, offset):
        return "html"
    if _SVG.match(start, offset):
        return "SVG image"
    if (flat := _FLAT_ODF.match(body, offset)) and flat[1] in _FLAT_PARSERS:
        return _FLAT_PARSERS[flat[1]]
    if named in ("code", "markdown", "html"):
        return None
    if _XML_DECLARATION.match(start) or _DOCTYPE.match(start, offset):
        return "xml"
    root = _ROOT.match(start, offset)
    if root and named is None:
        return _by_root(body, root, whole=whole)
    return None


def _by_root(body: str, root: re.Match[str], *, whole: bool) -> str | None:
    """A text that is one element from its first character to its last."""
    closed = body.rstrip().endswith(f"</{root[1]}>") if whole else "xmlns" in root[2]
    if not closed:
        return None
    return "html" if root[1].lower() in _HTML_PARTS else "xml"


def _is_mail(start: str) -> bool:
    """Two headers that mails have, before anything that is no header."""
    mbox = _MBOX_LINE.match(start)
    seen = set()
    for line in start[mbox.end() if mbox else 0 :].split("\n"):
        header = _HEADER_LINE.match(line.rstrip("\r") + "\n")
        if header:
            seen.add(header[1].lower())
        elif not seen or line[:1] not in (" ", "\t"):
            break
    return len(seen & _MAIL_HEADERS) >= 2


def _json(body: str, named: str | None, *, whole: bool) -> str | None:
    text = body.lstrip()
    if text[:1] not in ("{", "["):
        return None
    if '"cells"' in text and ('"nbformat"' in text or '"cell_type"' in text) and text[0] == "{":
        return "notebook"
    if _is_json_lines(text, whole=whole):
        return "jsonl"
    return "json" if _starts_json(text, whole=whole) and named != "csv" else None


def _is_json_lines(text: str, *, whole: bool) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    lines = lines if whole else lines[:-1]  # the last one may be cut
    return len(lines) >= 2 and all(_is_json(line) for line in lines[:20])


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False


_TOKENS = re.compile(
    r"[\s\[{\]}:,]*+(?:\"(?:[^\"\\\n]|\\.)*+\"|-?\d[\d.eE+-]*+|true\b|false\b|null\b|(?=[\]}]))", re.S
)


def _starts_json(text: str, *, whole: bool) -> bool:
    """Whether it is JSON, or its start reads as JSON for some tokens and it is no sentence."""
    if whole and _is_json(text):
        return True
    at = 0
    for _ in range(8):
        token = _TOKENS.match(text, at)
        if not token or token.end() == at:
            return False
        at = token.end()
    return re.match(r"\{\s*\"(?:[^\"\\\n]|\\.)*\"\s*:|\[\s*[\[{\"]", text) is not None


def _unnamed(body: str, start: str) -> str:
    if shebang := _SHEBANG.match(start):
        program = shebang[1].rpartition("/")[2]
        return next((kind for name, kind in _INTERPRETERS if program.startswith(name)), "code")
    if ".. " in body and _is_rst(body):
        return "rst"
    if _is_table(body):
        return "csv"
    return "markdown" if _is_markdown(body) else "text"


def _is_markdown(body: str) -> bool:
    """Whether it has two of the marks."""
    found = 0
    for characters, mark, least in _MARKDOWN:
        if characters in body:
            found += len(list(islice(mark.finditer(body), least))) >= least
    return found >= 2


def _is_rst(body: str) -> bool:
    directives = len(list(islice(_DIRECTIVE.finditer(body), 2)))
    return directives == 2 or (directives == 1 and _UNDERLINED.search(body) is not None)


def _is_table(body: str) -> bool:
    """Every line has as many tabs, semicolons or commas as the first, and short cells."""
    lines = [line.rstrip("\r") for line in body.split("\n")[:200] if line.strip()]
    lines = lines[:-1] if len(body) > _START_CHARS else lines
    if len(lines) < _TABLE_MIN_ROWS or max(map(len, lines)) > 20 * _MAX_CELL_CHARS:
        return False
    return any(_has_columns(lines, mark, least) for mark, least in (("\t", 1), (";", 2), (",", 2)))


def _has_columns(lines: list[str], mark: str, least: int) -> bool:
    count = lines[0].count(mark)
    if count < least or any(line.count(mark) != count for line in lines):
        return False
    cells = [cell for line in lines for cell in line.split(mark)]
    prose = sum(cell.startswith(" ") for cell in cells)  # "one, two, three" is a sentence
    return mark == "\t" or (prose * 10 < len(cells) and max(map(len, cells)) <= _MAX_CELL_CHARS)
