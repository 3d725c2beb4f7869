"""Write the report as mail and as Outlook message: `python -m tests.formats.build_mail`.

Sources: RFC 5322, 2045-2047, 2231, 3676; [MS-OXMSG] for Outlook.
"""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from tests.formats.build_rtf import hexed
from tests.formats.build_text import html, plain
from tests.formats.ole import compound_file
from tests.formats.source import KO, REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


# --- mail --------------------------------------------------------------------------------


def word(text: str, charset: str = "utf-8", label: str = "") -> str:
    """An encoded word."""
    return f"=?{label or charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


def part(content: bytes, kind: str, *lines: str) -> bytes:
    """A MIME part in base64."""
    head = "\r\n".join([f"Content-Type: {kind}", *lines, "Content-Transfer-Encoding: base64"])
    return head.encode() + b"\r\n\r\n" + base64.encodebytes(content).replace(b"\n", b"\r\n")


def multipart(kind: str, *parts: bytes, boundary: str = "") -> bytes:
    mark = (boundary or f"=-{kind}").encode()
    body = b"".join(b"--" + mark + b"\r\n" + piece + b"\r\n" for piece in parts)
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), mark)
    return head + body + b"--" + mark + b"--\r\n"


def mail(body: bytes, *headers: str | bytes) -> bytes:
    lines = [line.encode() if isinstance(line, str) else line for line in headers]
    return b"\r\n".join([*lines, b"MIME-Version: 1.0", body])


def report_mail(report: Report, language: str) -> bytes:
    """Plain and HTML alternatives; the subject is the report's title."""
    page = html(report, language).replace(f"<h1>{report.title}</h1>\n", "")
    text = plain(report).partition("\n\n")[2]
    body = multipart(
        "alternative",
        part(text.encode(), "text/plain; charset=utf-8"),
        part(page.encode(), "text/html; charset=utf-8"),
    )
    return mail(
        body,
        f"Subject: {word(report.title)}",
        f"From: {word(report.author)} <author@example.org>",
        f"To: {word('The harbour, warehouse')} <harbour@example.org>, night@example.org",
        f"Date: {format_datetime(report.authored_at)}",
        "Message-ID: <report.1@example.org>",
    )


def plain_mail() -> bytes:
    """Format flowed, with a quoted reply and a signature, 8-bit text, a folded subject."""
    text = (
        "The second logger was \r\nmoved to the loading bay.\r\n\r\n> Where is the second \r\n> logger?\r\n"
        "\r\nCaf\u00e9 talk at ten.\r\n\r\n-- \r\nIngrid\r\nHarbour audit\r\n"
    )
    return mail(
        b"Content-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + text.encode(),
        "Subject: Re: the loggers\r\n of the cold rooms",
        'From: "Halvorsen, Ingrid" <ingrid@example.org>',
        "To: night@example.org",
        "Cc: Leader (shift two) <two@example.org>",
        "Date: Fri, 17 Apr 2026 09:30:00 +0200",
    )


def korean_mail() -> bytes:
    """EUC-KR under its old names, a raw 8-bit header, attachments with RFC 2231 and encoded names."""
    text = "첨부한 점검표를 확인해 주십시오.\r\n\r\n감사합니다.\r\n".encode("cp949")
    half = KO.title.encode("cp949")
    subject = " ".join(
        f"=?ks_c_5601-1987?B?{base64.b64encode(piece).decode()}?=" for piece in (half[:9], half[9:])
    )
    name = "".join(f"%{byte:02X}" for byte in "점검표.csv".encode("cp949"))
    inner = mail(
        b"Content-Type: text/plain; charset=euc-kr\r\n\r\n" + "원래 메일".encode("cp949"),
        f"Subject: {word('문의', 'cp949', 'euc-kr')}", "From: a@example.org",
    )  # fmt: skip
    body = multipart(
        "mixed",
        multipart(
            "related",
            part(text, 'text/plain; charset="ks_c_5601-1987"'),
            part(PIXEL, 'image/png; name="logo.png"', "Content-ID: <logo>", "Content-Disposition: inline"),
        ),
        part("방,온도\n1,-18\n".encode("cp949"), "text/csv",
             f"Content-Disposition: attachment; filename*=euc-kr''{name}"),
        part(b"%PDF-1.4", "application/pdf",
             f'Content-Disposition: attachment; filename="{word("보고서.pdf", "cp949", "ks_c_5601-1987")}"'),
        b"Content-Type: message/rfc822\r\n\r\n" + inner,
        part(b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar; charset=utf-8; method=REQUEST"),
    )  # fmt: skip
    return mail(
        body,
        f"Subject: {subject}",
        "From: 한서윤 <han@example.org>".encode("cp949"),
        f"To: {word('부산항', 'cp949', 'euc-kr')} <busan@example.org>",
        "Date: Fri, 17 Apr 2026 18:00:00 +0900",
    )


# --- Outlook -----------------------------------------------------------------------------


def properties(
    texts: dict[int, str], values: dict[int, bytes], *, header: int, folder: str = ""
) -> dict[str, bytes]:
    """The streams of a message, recipient or attachment."""
    streams = {
        f"{folder}__substg1.0_{number:04X}001F": text.encode("utf-16-le") for number, text in texts.items()
    }
    table = bytes(header)
    for number, text in texts.items():
        table += struct.pack("<HHIII", 0x1F, number, 6, len(text) * 2 + 2, 0)
    for number, value in values.items():
        table += struct.pack("<HHI8s", 0x40 if len(value) == 8 else 0x3, number, 6, value)
    return {f"{folder}__properties_version1.0": table} | streams


def ticks(time: datetime) -> bytes:
    return struct.pack("<Q", int((time - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7)


def recipient(number: int, name: str, address: str, kind: int = 1) -> dict[str, bytes]:
    folder = f"__recip_version1.0_#{number:08X}/"
    return properties(
        {0x3001: name, 0x39FE: address}, {0x0C15: struct.pack("<I", kind)}, header=8, folder=folder
    )


def attachment(number: int, name: str, content: bytes, **more: str) -> dict[str, bytes]:
    folder = f"__attach_version1.0_#{number:08X}/"
    texts = {0x3707: name} | ({0x3712: more["content_id"]} if more else {})
    return properties(texts, {0x3705: struct.pack("<I", 1)}, header=8, folder=folder) | {
        f"{folder}__substg1.0_37010102": content
    }


def embedded(number: int, texts: dict[int, str]) -> dict[str, bytes]:
    folder = f"__attach_version1.0_#{number:08X}/"
    inside = properties(texts, {}, header=24, folder=f"{folder}__substg1.0_3701000D/")
    return properties({}, {0x3705: struct.pack("<I", 5)}, header=8, folder=folder) | inside


def report_message(report: Report, language: str) -> bytes:
    page = html(report, language).replace(f"<h1>{report.title}</h1>\n", "")
    texts = {0x001A: "IPM.Note", 0x0037: report.title, 0x1000: plain(report).partition("\n\n")[2],
             0x0C1A: report.author, 0x5D01: "author@example.org"}  # fmt: skip
    streams = properties(texts, {0x0039: ticks(report.authored_at)}, header=32)
    streams["__substg1.0_10130102"] = page.encode()
    return compound_file(streams | recipient(0, "Harbour", "harbour@example.org"))


def rtf_message() -> bytes:
    """An RTF body only, in code page 949 without Unicode; a file, a picture and a message attached."""
    body = (
        r"{\rtf1\ansi\ansicpg949\deff0{\fonttbl{\f0\fcharset129 Batang;}}\f0 "
        + hexed("서식 있는 본문")
        + r"\par}"
    )
    data = body.encode()
    packed = struct.pack("<II4sI", len(data) + 12, len(data), b"MELA", 0) + data
    streams = properties({0x001A: "IPM.Note"}, {0x3FFD: struct.pack("<I", 949)}, header=32)
    for number, text in ((0x0037, "회의 자료"), (0x0C1A, "한서윤"), (0x0C1F, "/O=ORG/CN=HAN")):
        streams[f"__substg1.0_{number:04X}001E"] = text.encode("cp949")
    streams["__substg1.0_10090102"] = packed
    streams |= recipient(0, "부산항", "busan@example.org") | recipient(1, "", "copy@example.org", 2)
    streams |= attachment(0, "점검표.csv", "방,온도".encode()) | attachment(
        1, "logo.png", PIXEL, content_id="logo"
    )
    streams |= embedded(
        2,
        {
            0x0037: "원래 메일",
            0x1000: "안녕하세요.\n\n부탁드립니다.",
            0x0C1A: "김",
            0x5D01: "kim@example.org",
        },
    )
    return compound_file(streams)


def main() -> None:
    for language, report in REPORTS.items():
        _save(f"report.{language}.eml", report_mail(report, language))
        (FIXTURES / f"report.{language}.msg").write_bytes(report_message(report, language))
    (FIXTURES / "rtf.msg").write_bytes(rtf_message())
    _save("plain.eml", plain_mail())
    _save("korean.eml", korean_mail())


def _save(name: str, data: bytes) -> None:
    (FIXTURES / name).write_bytes(data.replace(b"\r\n", b"\n"))  # git may turn line ends of text


if __name__ == "__main__":
    main()
