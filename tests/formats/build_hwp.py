"""Write the report as HWP 5 and HWPX, and what is odd in them: `python -m tests.formats.build_hwp`.

Source: Hancom, "한글문서파일형식 5.0", revision 1.3 (records, tags and control characters) and
KS X 6101 "OWPML" (HWPX). Only what a reader needs is written.
"""

# ruff: noqa: E501

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from tests.formats.ole import compound_file
from tests.formats.source import KO, REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"
COMPRESSED, PASSWORD, DISTRIBUTION = 1, 2, 4
LEVELS = 3
ITEM_STYLE = LEVELS + 1
FORMAT_ID = bytes.fromhex("60b6a29f61100dd111b4c6006097c09d8c")[:16]

Cell = tuple[str, int, int, int, int]
"""Text, column, row, columns spanned, rows spanned."""


# --- HWP 5 -------------------------------------------------------------------------------


def record(tag: int, level: int, data: bytes = b"") -> bytes:
    size = len(data)
    head = struct.pack("<I", tag | level << 10 | min(size, 0xFFF) << 20)
    return head + (struct.pack("<I", size) if size >= 0xFFF else b"") + data


def control(char: int, name: str = "    ") -> str:
    """An inline or extended control in a paragraph's text: 8 code units."""
    low = name.encode()[::-1]
    return chr(char) + low.decode("utf-16-le") + "\0\0\0\0" + chr(char)


def paragraph(text: str, level: int = 0, style: int = 0) -> bytes:
    units = (text + "\r").encode("utf-16-le", "surrogatepass")
    head = struct.pack("<IIHBBHHHIH", len(units) // 2, 0, style, style, 0, 1, 0, 1, 0, 0)
    return (
        record(66, level, head)
        + record(67, level + 1, units)
        + record(68, level + 1, struct.pack("<II", 0, 0))
    )


def control_header(name: str, level: int, data: bytes = b"") -> bytes:
    return record(71, level, name.encode()[::-1] + data)


def list_header(level: int, count: int = 1, data: bytes = b"") -> bytes:
    return record(72, level, struct.pack("<HHI", count, 0, 0) + data)


def table(cells: list[Cell], level: int = 0) -> bytes:
    """A paragraph that holds a table and nothing else."""
    rows = max(row + down for _, _, row, _, down in cells)
    columns = max(column + across for _, column, _, across, _ in cells)
    data = paragraph(control(11, "tbl "), level)
    data += control_header("tbl ", level + 1, struct.pack("<I", 0x82A2211) + bytes(36))
    sizes = [sum(cell[2] == row for cell in cells) for row in range(rows)]
    shape = struct.pack(f"<IHHH4H{rows}HHH", 4, rows, columns, 0, 0, 0, 0, 0, *sizes, 1, 0)
    data += record(77, level + 2, shape)
    for text, column, row, across, down in cells:
        place = struct.pack("<4HII4HH", column, row, across, down, 5000, 1000, 0, 0, 0, 0, 1)
        data += list_header(level + 2, 1, place) + paragraph(text, level + 2)
    return data


def note(before: str, name: str, char: int, text: str, after: str = "", level: int = 0) -> bytes:
    """A paragraph with a footnote (`fn  `), hidden comment (`tcmt`), header (`head`) in it."""
    data = paragraph(before + control(char, name) + after, level)
    return (
        data + control_header(name, level + 1, bytes(8)) + list_header(level + 2) + paragraph(text, level + 2)
    )


def equation(script: str) -> bytes:
    body = struct.pack("<IH", 0, len(script)) + script.encode("utf-16-le") + bytes(20)
    return paragraph(control(11, "eqed")) + control_header("eqed", 1, bytes(40)) + record(88, 2, body)


def _section_start() -> bytes:
    return (
        paragraph(control(2, "secd") + control(2, "cold"))
        + control_header("secd", 1, bytes(44))
        + record(73, 2, struct.pack("<9II", *([59528, 84188] + [5000] * 7), 0))
        + control_header("cold", 1, bytes(12))
    )


def _text(value: str) -> bytes:
    return struct.pack("<H", len(value)) + value.encode("utf-16-le")


def doc_info() -> bytes:
    counts = [0] * 18
    counts[1:8] = [1] * 7
    counts[8], counts[9], counts[10] = 1, 1, 1
    counts[8 + 5 - 2], counts[13], counts[14] = 0, LEVELS + 2, LEVELS + 2
    data = record(16, 0, struct.pack("<7H3I", 1, 1, 1, 1, 1, 1, 1, 0, 0, 0))
    data += record(17, 0, struct.pack("<18I", *counts))
    for _ in range(7):
        data += record(19, 1, b"\0" + _text("함초롬바탕"))
    data += record(20, 1, bytes(40))
    data += record(21, 1, struct.pack("<7H7B7B7B7b", *[0] * 7, *[100] * 7, *[0] * 7, *[100] * 7, *[0] * 7)
                   + struct.pack("<iIbbIIIIHI", 1000, 0, 0, 0, 0, 0, 0, 0, 1, 0))  # fmt: skip
    data += record(22, 1, struct.pack("<II", 0, 0))
    for level in range(LEVELS + 2):  # paragraph shapes: text, outline levels, bulleted
        head = (1 << 23 | (level - 1) << 25) if 1 <= level <= LEVELS else 0
        head = 3 << 23 if level == ITEM_STYLE else head
        data += record(25, 1, struct.pack("<I5ii3HHHHHIII", head, 0, 0, 0, 0, 0, 160, 0,
                                          level == ITEM_STYLE, 1, 0, 0, 0, 0, 0, 0, 160))  # fmt: skip
    names = (
        [("바탕글", "Normal")]
        + [(f"개요 {n}", f"Outline {n}") for n in range(1, LEVELS + 1)]
        + [("목록", "List")]
    )
    for number, (local, english) in enumerate(names):
        data += record(
            26, 1, _text(local) + _text(english) + struct.pack("<BBhHH", 0, number, 1042, number, 0)
        )
    return data


def _summary(report: Report) -> bytes:
    def text(value: str) -> bytes:
        data = (value + "\0").encode("utf-16-le")
        return struct.pack("<II", 0x1F, len(data) // 2) + data.ljust(-(-len(data) // 4) * 4, b"\0")

    ticks = int((report.authored_at - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7
    values = {
        2: text(report.title), 4: text(report.author), 5: text(", ".join(report.keywords)),
        8: text("admin"), 12: struct.pack("<IQ", 0x40, ticks), 13: struct.pack("<IQ", 0x40, ticks),
    }  # fmt: skip
    offset = 8 + 8 * len(values)
    index, body = b"", b""
    for number, value in values.items():
        index += struct.pack("<II", number, offset + len(body))
        body += value
    head = struct.pack("<HHI16xI16sI", 0xFFFE, 0, 0x20105, 1, FORMAT_ID, 48)
    return head + struct.pack("<II", offset + len(body), len(values)) + index + body


def hwp(
    report: Report, *sections: bytes, flags: int = COMPRESSED, preview: str = "", body: str = "BodyText"
) -> bytes:
    def pack(data: bytes) -> bytes:
        if not flags & COMPRESSED:
            return data
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(data) + deflate.flush()

    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000300, flags) + bytes(216)
    streams = {
        "FileHeader": header,
        "DocInfo": pack(doc_info()),
        "\x05HwpSummaryInformation": _summary(report),
        "PrvText": preview.encode("utf-16-le"),
    }
    for number, section in enumerate(sections):
        streams[f"{body}/Section{number}"] = pack(section)
    return compound_file(streams)


def hwp_body(report: Report) -> bytes:
    data = _section_start() + paragraph(report.title, style=1)
    for section in report.sections:
        data += paragraph(section.title, style=section.level)
        data += b"".join(paragraph(text) for text in section.paragraphs)
        data += b"".join(paragraph(item, style=ITEM_STYLE) for item in section.items)
        if section.table:
            rows = enumerate(section.table)
            data += table([(cell, c, r, 1, 1) for r, row in rows for c, cell in enumerate(row)])
    return data


def features_body() -> bytes:
    """What government documents have: notes, merged cells, nested tables, comments, headers."""
    merged = [("구분", 0, 0, 1, 2), ("계획", 1, 0, 2, 1), ("상반기", 1, 1, 1, 1), ("하반기", 2, 1, 1, 1),
              ("예산", 0, 2, 1, 1), ("100 | 3*4*5", 1, 2, 1, 1), ("<별도>", 2, 2, 1, 1)]  # fmt: skip
    shape = record(76, 2, bytes(196))
    nested = table([("앞", 0, 0, 1, 1), ("", 1, 0, 1, 1), ("뒤", 0, 1, 2, 1)])
    inner = table([("안1", 0, 0, 1, 1), ("안2", 1, 0, 1, 1)], 2)
    # the inner table goes into the second cell, whose only paragraph is empty
    empty = paragraph("", 2)
    nested = nested.replace(empty, inner, 1)
    return b"".join((
        _section_start(),
        note("", "head", 16, "대외비 머리말"),
        paragraph(f"□ 추진{control(9)}배경_및 *목적*", style=1),
        note("각주가 있는 문장", "fn  ", 17, "각주의 내용이다.", " 다음 말.\n둘째 줄"),
        note("숨은 설명", "tcmt", 15, "보이지 않는 설명", "이 있는 문장."),
        paragraph("줄을\x1e나누지 않는 빈칸과 하이픈\x18표시, 이모지 😀"),
        table(merged), nested, table([("틀 안의 글", 0, 0, 1, 1)]), equation("a over b"),
        paragraph(control(11, "gso ")) + control_header("gso ", 1, bytes(40)) + shape
        + list_header(3) + paragraph("글상자의 글", 3) + record(79, 3, bytes(33)),
        paragraph("가" * 3000),
    ))  # fmt: skip


# --- HWPX -------------------------------------------------------------------------------

_NAMESPACES = (
    " ".join(
        f'xmlns:{prefix}="http://www.hancom.co.kr/hwpml/2011/{name}"'
        for prefix, name in (("hp", "paragraph"), ("hs", "section"), ("hh", "head"), ("hc", "core"))
    )
    + ' xmlns:opf="http://www.idpf.org/2007/opf/"'
)
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>'


def p(text: str, style: int = 0, inner: str = "") -> str:
    return (
        f'<hp:p id="0" paraPrIDRef="{style}" styleIDRef="{style}"><hp:run charPrIDRef="0">'
        f"{inner}<hp:t>{text}</hp:t></hp:run></hp:p>"
    )


def tbl(cells: list[Cell]) -> str:
    rows = max(row + down for _, _, row, _, down in cells)
    columns = max(column + across for _, column, _, across, _ in cells)
    body = ""
    for number in range(rows):
        body += "<hp:tr>"
        for text, column, row, across, down in cells:
            if row == number:
                content = text if text.startswith("<hp:p") else p(escape(text))
                body += (
                    f'<hp:tc name=""><hp:subList id="">{content}</hp:subList>'
                    f'<hp:cellAddr colAddr="{column}" rowAddr="{row}"/>'
                    f'<hp:cellSpan colSpan="{across}" rowSpan="{down}"/></hp:tc>'
                )
        body += "</hp:tr>"
    return p("", inner=f'<hp:tbl id="1" rowCnt="{rows}" colCnt="{columns}">{body}</hp:tbl>')


def hwpx_section(report: Report) -> str:
    body = p(escape(report.title), 1)
    for section in report.sections:
        body += p(escape(section.title), section.level)
        body += "".join(p(escape(text)) for text in section.paragraphs)
        body += "".join(p(escape(item), ITEM_STYLE) for item in section.items)
        if section.table:
            rows = enumerate(section.table)
            body += tbl([(cell, c, r, 1, 1) for r, row in rows for c, cell in enumerate(row)])
    return body


def hwpx_features() -> str:
    def sub(tag: str, text: str) -> str:
        return f'<hp:ctrl><hp:{tag}><hp:subList id="">{p(text)}</hp:subList></hp:{tag}></hp:ctrl>'

    merged = [("구분", 0, 0, 1, 2), ("계획", 1, 0, 2, 1), ("상반기", 1, 1, 1, 1), ("하반기", 2, 1, 1, 1),
              ("예산", 0, 2, 1, 1), ("100 | 3*4*5", 1, 2, 1, 1), ("<별도>", 2, 2, 1, 1)]  # fmt: skip
    inner = tbl([("안1", 0, 0, 1, 1), ("안2", 1, 0, 1, 1)])
    return "".join((
        p("", inner=sub("header", "대외비 머리말")),
        p("□ 추진<hp:tab width='1'/>배경_및 *목적*", 1),
        p(" 다음 말.<hp:lineBreak/>둘째 줄", inner="<hp:t>각주가 있는 문장</hp:t>" + sub("footNote", "각주의 내용이다.")),
        p("이 있는 문장.", inner="<hp:t>숨은 설명</hp:t>" + sub("hiddenComment", "보이지 않는 설명")),
        p("줄을<hp:nbSpace/>나누지 않는 빈칸과 하이픈<hp:hyphen/>표시, 이모지 😀"),
        tbl(merged), tbl([("앞", 0, 0, 1, 1), (inner, 1, 0, 1, 1), ("뒤", 0, 1, 2, 1)]),
        tbl([("틀 안의 글", 0, 0, 1, 1)]),
        p("", inner="<hp:equation><hp:script>a over b</hp:script></hp:equation>"),
        p("", inner=f"<hp:rect><hp:drawText><hp:subList id=''>{p('글상자의 글')}</hp:subList></hp:drawText></hp:rect>"),
        p("<hp:deleteBegin Id='1'/>지운 글<hp:deleteEnd Id='1'/>남은 글"),
    ))  # fmt: skip


def _header() -> str:
    shapes = ""
    for level in range(LEVELS + 2):
        kind = "OUTLINE" if 1 <= level <= LEVELS else "BULLET" if level == ITEM_STYLE else "NONE"
        shapes += (
            f'<hh:paraPr id="{level}"><hh:heading type="{kind}" idRef="1" level="{max(level - 1, 0) % LEVELS}"/>'
            "</hh:paraPr>"
        )
    names = (
        [("바탕글", "Normal")]
        + [(f"개요 {n}", f"Outline {n}") for n in range(1, LEVELS + 1)]
        + [("목록", "List")]
    )
    styles = "".join(
        f'<hh:style id="{n}" type="PARA" name="{a}" engName="{b}" paraPrIDRef="{n}" charPrIDRef="0"/>'
        for n, (a, b) in enumerate(names)
    )
    return (
        f'{_XML}<hh:head {_NAMESPACES} version="1.4" secCnt="1"><hh:refList>'
        f'<hh:bullets itemCnt="1"><hh:bullet id="1" char="●"/></hh:bullets>'
        f'<hh:paraProperties itemCnt="{LEVELS + 2}">{shapes}</hh:paraProperties>'
        f'<hh:styles itemCnt="{len(names)}">{styles}</hh:styles></hh:refList></hh:head>'
    )


def _package(report: Report, language: str, count: int) -> str:
    ids = range(count)
    return (
        f"{_XML}<opf:package {_NAMESPACES}><opf:metadata><opf:title>{escape(report.title)}</opf:title>"
        f"<opf:language>{language}</opf:language>"
        f'<opf:meta name="creator" content="text">{escape(report.author)}</opf:meta>'
        f'<opf:meta name="CreatedDate" content="text">{report.authored_at:%Y-%m-%dT%H:%M:%SZ}</opf:meta>'
        f'<opf:meta name="keyword" content="text">{escape(", ".join(report.keywords))}</opf:meta>'
        '</opf:metadata><opf:manifest><opf:item id="header" href="Contents/header.xml" media-type="application/xml"/>'
        + "".join(
            f'<opf:item id="section{n}" href="Contents/section{n}.xml" media-type="application/xml"/>'
            for n in ids
        )
        + '</opf:manifest><opf:spine><opf:itemref idref="header" linear="yes"/>'
        + "".join(f'<opf:itemref idref="section{n}" linear="yes"/>' for n in ids)
        + "</opf:spine></opf:package>"
    )


def hwpx(report: Report, *sections: str, language: str = "ko", more: dict[str, str] | None = None) -> bytes:
    parts = {
        "mimetype": "application/hwp+zip",
        "version.xml": f'{_XML}<hv:HCFVersion xmlns:hv="http://www.hancom.co.kr/hwpml/2011/version" major="5"/>',
        "Contents/header.xml": _header(),
        **{
            f"Contents/section{n}.xml": f"{_XML}<hs:sec {_NAMESPACES}>{section}</hs:sec>"
            for n, section in enumerate(sections)
        },
        "Contents/content.hpf": _package(report, language, len(sections)),
        "META-INF/container.xml": f'{_XML}<ocf:container xmlns:ocf="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<ocf:rootfiles><ocf:rootfile full-path="Contents/content.hpf" media-type="application/hwpml-package+xml"/>'
        "</ocf:rootfiles></ocf:container>",
        "Preview/PrvText.txt": report.title,
        **(more or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, (2026, 4, 17, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            package.writestr(info, text)
    return buffer.getvalue()


def main() -> None:
    for language, report in REPORTS.items():
        (FIXTURES / f"report.{language}.hwp").write_bytes(hwp(report, hwp_body(report), preview=report.title))
        packed = hwpx(report, hwpx_section(report), language=language)
        (FIXTURES / f"report.{language}.hwpx").write_bytes(packed)
    (FIXTURES / "features.hwp").write_bytes(hwp(KO, features_body()))
    (FIXTURES / "features.hwpx").write_bytes(hwpx(KO, hwpx_features(), p("둘째 구역")))
    protected = hwp(KO, b"\0" * 300, flags=COMPRESSED | DISTRIBUTION, body="ViewText",
                    preview=f"{KO.title}\r\n<장소><약정 온도>\r\n<하역장><8.0>\r\n배포용 문서의 미리 보기")  # fmt: skip
    (FIXTURES / "distribution.hwp").write_bytes(protected)


if __name__ == "__main__":
    main()
