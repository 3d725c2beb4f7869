"""The words of RTF that a reader of the text needs.

Source: Microsoft, "Rich Text Format (RTF) Specification", version 1.9.1.
"""

from __future__ import annotations

import codecs
import re

TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,30})? ?|(?P<hex>(?:\\'[0-9a-fA-F]{2})+)"
    rb"|\\(?P<symbol>[^a-zA-Z])|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\",
    re.S,
)

CHARSETS = {
    2: "latin-1", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250", 254: "cp437",
}  # fmt: skip
"""Codecs of a font's character set; 0 and 1 mean the document's own, 2 symbols."""

CODE_PAGES = {936: "gb18030", 1361: "johab", 10000: "mac_roman", 10003: "cp949", 65001: "utf-8"}
"""Codecs of code pages whose name is not ``cpNUMBER``."""

SYMBOLS = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ",
    "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "lbr": "\n",
    "softline": "\n", "~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}",
}  # fmt: skip

TRANSPARENT = frozenset(("shpinst", "shptxt", "fldrslt", "result", "ud"))
"""Destinations whose text a reader sees where they stand, even behind an asterisk."""

SKIPPED = frozenset(
    """
    annotation atnauthor atndate atnicn atnid atnparent atnref atntime atrfend atrfstart background bkmkend
    bkmkstart blipuid colorschememapping colortbl comment datafield datastore do docvar falt filetbl fldinst
    fontemb footer footerf footerl footerr ftncn ftnsep ftnsepc formfield generator header headerf headerl
    headerr hl hlfr hlinkbase hlloc hlsrc latentstyles listname listoverridetable listpicture liststylename
    listtable mailmerge mmath nesttableprops nonesttables nonshppict objclass objdata objname oldcprops pgp
    pict picprop pn pnseclvl pntxta pntxtb private propname revtbl rsidtbl shprslt sn staticval sp sv tc
    template themedata userprops wgrffmtfilter xe xmlattrname xmlattrvalue xmlclose xmlname xmlnstbl xmlopen
    """.split()
)
"""Destinations that are no part of the text, or say it a second time."""

INFO = frozenset(("title", "subject", "author", "keywords", "doccomm"))
DATES = frozenset(("creatim", "revtim"))
TIME_FIELDS = ("yr", "mo", "dy", "hr", "min")
BULLETS = frozenset("·•◦▪■□●○◆◇▶-*o§–\uf0b7\uf0a7\uf0d8\uf0fc\uf06c\uf06e\uf0a8\ufffd")


def codec_of(code_page: int) -> str:
    """The codec of a code page, Western Windows for one that Python has not."""
    name = CODE_PAGES.get(code_page, f"cp{code_page}")
    try:
        codecs.lookup(name)
    except LookupError:
        return "cp1252"
    return name


def decode_page(data: bytes, codec: str) -> str:
    """Text of bytes in a code page; UTF-8 where writers put that instead."""
    if data.isascii():
        return data.decode("ascii")
    for name in (codec, "utf-8"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return data.decode(codec, "replace")
