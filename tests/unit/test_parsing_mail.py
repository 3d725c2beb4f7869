# ruff: noqa: E501

from __future__ import annotations

import base64

import pytest

from schemas.errors import ParseFailed
from tasks.parsing import mail, outlook
from tasks.parsing.mail_text import header_text
from tests.formats.build_mail import (
    PIXEL,
    embedded,
    korean_mail,
    multipart,
    part,
    properties,
    report_message,
    rtf_message,
)
from tests.formats.build_mail import mail as write
from tests.formats.ole import compound_file
from tests.formats.source import EN

HEAD = ("Subject: s", "From: a@example.org")


def texts(data: bytes) -> list[str]:
    """The body's texts, without the headers."""
    return [element.text for element in mail.parse(data).elements[2:]]


def plain(content: bytes, charset: str, *lines: bytes) -> bytes:
    return write(
        b"\r\n".join([b"Content-Type: text/plain; charset=" + charset.encode(), *lines, b"", content]), *HEAD
    )


@pytest.mark.parametrize(
    "charset", ["euc-kr", "KS_C_5601-1987", "cp949", "utf-8", "us-ascii", "iso-8859-1", "nonsense", "\0"]
)
def test_korean_bytes_are_korean_whatever_is_declared(charset):
    assert texts(plain("확인해 주십시오. 감사합니다.".encode("cp949"), charset)) == [
        "확인해 주십시오. 감사합니다."
    ]


@pytest.mark.parametrize("charset", ["iso-2022-kr", "euc-kr", "us-ascii"])
def test_iso_2022_kr_is_told_by_its_bytes(charset):
    assert texts(plain("확인".encode("iso2022_kr"), charset)) == ["확인"]


def test_western_bytes_stay_western():
    assert texts(plain("Café, naïve".encode("cp1252"), "iso-8859-1")) == ["Café, naïve"]


def test_hangul_cut_in_two_between_encoded_words_is_whole():
    words = [
        base64.b64encode(piece).decode()
        for piece in ("가나다".encode("cp949")[:3], "가나다".encode("cp949")[3:])
    ]
    assert header_text(" ".join(f"=?euc-kr?B?{word}?=" for word in words)) == "가나다"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?utf-8?q?a=20b?= c", "a b c"),
        ("=?utf-8?B?!!!?=", ""),
        ("=?x?y?z", "=?x?y?z"),
        ("=?utf-8*ko?B?6rCA?=", "가"),
        ("=?no-such?B?6rCA?=", "가"),
        ("plain\r\n folded", "plain folded"),
        ("=?utf-8?B?6rCA=6?=", "가"),
    ],
)
def test_headers_are_read_as_far_as_they_go(raw, text):
    assert header_text(raw).startswith(text)


def test_the_plain_body_is_taken_unless_it_is_a_stub():
    words = " ".join(f"word{n}" for n in range(60))
    html = part(f"<p>{words}</p>".encode(), "text/html; charset=utf-8")
    stub = write(multipart("alternative", part(b"See the HTML.", "text/plain"), html), *HEAD)
    full = write(multipart("alternative", part(f"plain {words}".encode(), "text/plain"), html), *HEAD)
    assert texts(stub) == [words]
    assert texts(full) == [f"plain {words}"]


def test_the_html_body_is_taken_for_its_table():
    html = b"<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    data = write(multipart("alternative", part(b"a b 1 2", "text/plain"), part(html, "text/html")), *HEAD)
    assert texts(data) == ["| a | b |\n| --- | --- |\n| 1 | 2 |"]


def test_headings_of_the_body_stand_below_the_subject():
    data = write(part(b"<h1>one</h1><p>x</p><h2>two</h2><p>y</p>", "text/html"), *HEAD)
    found = [(e.text, e.level) for e in mail.parse(data).elements if e.kind == "heading"]
    assert found == [("s", 1), ("one", 2), ("two", 3)]


def test_quotes_and_signatures_are_kept_and_soft_ends_joined():
    data = plain(b"one \r\ntwo\r\n> a \r\n> b\r\n-- \r\nme\r\n", "utf-8; format=flowed")
    assert texts(data) == ["one two\n> a b\n-- \nme"]


def test_attachments_have_their_names_and_bytes_and_pictures_of_the_body_are_left_out():
    found = dict(mail.attachments(korean_mail()))
    assert sorted(found) == ["", "문의.eml", "보고서.pdf", "점검표.csv"]
    assert found["점검표.csv"].decode("cp949") == "방,온도\n1,-18\n"
    assert found["보고서.pdf"] == b"%PDF-1.4"
    assert mail.parse(found["문의.eml"]).metadata.title == "문의"


def test_a_body_with_a_name_is_still_the_body():
    assert texts(write(part(b"hi", "text/plain; name=body.txt"), *HEAD)) == ["hi"]


def test_a_picture_that_is_attached_is_attached():
    shown = part(PIXEL, "image/png", "Content-Disposition: attachment; filename=a.png", "Content-ID: <x>")
    data = write(multipart("mixed", part(b"hi", "text/plain"), shown), *HEAD)
    assert list(mail.attachments(data)) == [("a.png", PIXEL)]


def test_an_encrypted_body_leaves_the_headers_and_is_told():
    bodies = (
        multipart(
            "encrypted", part(b"x", "application/pgp-encrypted"), part(b"y", "application/octet-stream")
        ),
        part(b"\x30\x80", "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"),
        b"Content-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nabc\r\n-----END PGP MESSAGE-----\r\n",
    )
    for body in bodies:
        parsed = mail.parse(write(body, *HEAD))
        assert [e.text for e in parsed.elements] == ["s", "From: a@example.org"]
        assert [problem.error for problem in parsed.problems] == ["EncryptedDocument"]


def test_a_signed_body_is_read_and_its_signature_is_none():
    data = write(
        multipart("signed", part(b"hi", "text/plain"), part(b"x", "application/pgp-signature; name=s.asc")),
        *HEAD,
    )
    assert texts(data) == ["hi"]
    assert list(mail.attachments(data)) == []


def test_parts_without_their_boundary_are_found():
    body = multipart("mixed", part("본문".encode(), "text/plain; charset=utf-8"), part(b"\0\1", "image/png"))
    data = write(body.replace(b'; boundary="=-mixed"', b""), *HEAD)
    assert texts(data) == ["본문"]


def test_a_cut_base64_body_gives_its_beginning():
    data = write(part("가나다라마바사".encode() * 50, "text/plain; charset=utf-8"), *HEAD)
    assert texts(data[:-300])[0].startswith("가나다라마바사가나다")


def test_parts_beyond_a_limit_are_told(monkeypatch):
    monkeypatch.setattr(mail, "MAX_PARTS", 5)
    data = write(multipart("mixed", *[part(b"hi", "text/plain")] * 10), *HEAD)
    assert len(mail.parse(data).problems) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"To: " + b"(" * 100_000,
        b"To: " + b'"' * 100_000,
        b"Content-Type: text/plain; " + b'a="b;' * 50_000,
        b"Content-Disposition: inline; " + b"".join(b"filename*%d=a;" % n for n in range(20_000)),
        b"Subject: " + b"=?utf-8?B?6rCA?= " * 20_000,
        b"Date: " + b"9" * 100_000,
    ],
    ids=["comments", "quotes", "parameters", "continuations", "words", "date"],
)
def test_absurd_headers_do_no_harm(head):
    parsed = mail.parse(head + b"\r\nX: y\r\n\r\nthe body")
    assert "the body" in [e.text for e in parsed.elements] or parsed.metadata.extra["attachments"]
    assert sum(len(e.text) for e in parsed.elements) < 20_000


def test_very_many_recipients_are_counted_not_listed():
    data = write(
        b"Content-Type: text/plain\r\n\r\nhi", *HEAD, "To: " + ", ".join(f"p{n}@x.org" for n in range(400))
    )
    assert mail.parse(data).metadata.extra["to"].endswith("and 350 more")


def test_the_last_rung_reads_parts_nested_without_end():
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(2_000)
    )
    data = b"Subject: s\r\n" + nested + b"Content-Type: text/plain\r\n\r\nthe body"
    assert "the body" in [e.text for e in mail.parse_plain(data).elements]


# --- Outlook -----------------------------------------------------------------------------


def message(texts: dict[int, str], **streams: bytes) -> bytes:
    return compound_file(properties({0x0037: "s", 0x0C1A: "me"} | texts, {}, header=32) | streams)


def test_compressed_rtf_is_unpacked():
    """The examples of [MS-OXRTFCP], sections 4.1.1 and 4.1.2."""
    first = (
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    second = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
    assert outlook.unpack_rtf(bytes.fromhex(first)) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert outlook.unpack_rtf(bytes.fromhex(second)) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_a_message_in_a_code_page_with_only_rtf_is_read():
    parsed = outlook.parse(rtf_message())
    assert parsed.metadata.title == "회의 자료"
    assert parsed.metadata.author == "한서윤"
    assert parsed.elements[-1].text == "서식 있는 본문"


def test_an_attached_message_is_a_mail_of_its_own():
    found = dict(outlook.attachments(rtf_message()))
    assert sorted(found) == ["원래 메일.eml", "점검표.csv"]
    inner = mail.parse(found["원래 메일.eml"])
    assert [e.text for e in inner.elements] == [
        "원래 메일",
        "From: 김 <kim@example.org>",
        "안녕하세요.",
        "부탁드립니다.",
    ]
    assert found == dict(outlook.attachments(rtf_message()))


def test_a_message_without_a_body_still_has_its_headers():
    assert [e.text for e in outlook.parse(message({})).elements] == ["s", "From: me"]


def test_an_encrypted_message_is_told():
    parsed = outlook.parse(message({0x001A: "IPM.Note.SMIME"}))
    assert parsed.problems[0].error == "EncryptedDocument"


def test_damaged_rtf_does_not_hide_the_headers():
    parsed = outlook.parse(message({}, **{"__substg1.0_10090102": b"\xff" * 400}))
    assert parsed.elements[0].text == "s"
    assert parsed.problems


def test_names_with_line_ends_make_no_headers():
    streams = properties({0x0037: "s"}, {}, header=32)
    streams |= embedded(0, {0x0037: "a\r\nBcc: x@y.z", 0x1000: "hi", 0x0C1A: "n\r\nBcc: q@y.z"})
    ((name, content),) = outlook.attachments(compound_file(streams))
    assert "\n" not in name
    assert b"\nBcc" not in content


def test_a_message_without_anything_is_refused():
    with pytest.raises(ParseFailed):
        outlook.parse(compound_file({"__properties_version1.0": bytes(32)}))
    with pytest.raises(ParseFailed):
        outlook.parse(report_message(EN, "en")[:700])
