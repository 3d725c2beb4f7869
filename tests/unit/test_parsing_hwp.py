# ruff: noqa: E501

from __future__ import annotations

import struct
import zlib

import pytest

from schemas.errors import EncryptedDocument, ParseFailed, UnsupportedFormat
from tasks.parsing import hwp, hwp_file, hwpx
from tests.formats.build_hwp import (
    COMPRESSED,
    DISTRIBUTION,
    PASSWORD,
    control,
    features_body,
    hwp_body,
    note,
    p,
    paragraph,
    record,
    table,
    tbl,
)
from tests.formats.build_hwp import hwp as write_hwp
from tests.formats.build_hwp import hwpx as write_hwpx
from tests.formats.ole import compound_file
from tests.formats.source import EN, KO


def texts(parsed):
    return [element.text for element in parsed.elements]


def words(parsed) -> set[str]:
    return set(" ".join(texts(parsed)).replace("|", " ").split()) - {"-", "---"}


def read(body: bytes) -> list[str]:
    return texts(hwp.parse(write_hwp(KO, body)))


def test_a_file_without_compression_reads_the_same():
    packed, plain = (hwp.parse(write_hwp(EN, hwp_body(EN), flags=flags)) for flags in (COMPRESSED, 0))
    assert packed == plain
    assert len(packed.elements) > 10


def test_sections_are_read_by_their_number_not_by_their_name():
    bodies = [paragraph(f"section {n}") for n in range(12)]
    assert texts(hwp.parse(write_hwp(KO, *bodies))) == [f"section {n}" for n in range(12)]


def test_controls_of_eight_units_leave_no_trace_even_with_surrogates_in_them():
    hidden = "\x03" + "\ud83d\ude00" + "가나다라" + "\x03"
    assert read(paragraph(f"앞{hidden}뒤{control(9)}끝")) == ["앞뒤\t끝"]


def test_headers_and_hidden_comments_are_left_out_and_notes_follow_their_paragraph():
    body = (
        note("본문", "fn  ", 17, "각주", "계속")
        + note("", "head", 16, "머리말")
        + note("글", "tcmt", 15, "설명")
    )
    assert read(body) == ["본문계속", "각주", "글"]


def test_text_before_and_after_a_table_stays_there():
    whole = table([("가", 0, 0, 1, 1), ("나", 1, 0, 1, 1)])
    marked = paragraph(control(11, "tbl "))
    assert read(whole.replace(marked, paragraph("앞" + control(11, "tbl ") + "뒤"), 1)) == [
        "앞", "| 가 | 나 |\n| --- | --- |", "뒤",
    ]  # fmt: skip


@pytest.mark.parametrize("place", [(65535, 0), (0, 65535)], ids=["column", "row"])
def test_a_cell_at_an_absurd_place_costs_no_memory(place):
    cells = [("가", 0, 0, 1, 1), ("나", *place, 1, 1)]
    body = table([("가", 0, 0, 1, 1), ("나", 1, 0, 1, 1)])
    body = body.replace(struct.pack("<4H", 1, 0, 1, 1), struct.pack("<4H", *cells[1][1:]))
    (text,) = read(body)
    assert "가" in text and "나" in text and len(text) < 200


def test_a_long_text_in_a_cell_that_spans_rows_is_not_repeated():
    (text,) = read(table([("길" * 300, 0, 0, 1, 3), *(("x", 1, row, 1, 1) for row in range(3))]))
    assert text.count("길") == 300


def test_tables_inside_tables_without_end_are_read_without_a_stack_of_their_depth():
    def nested(text: str) -> bytes:
        return b"".join(
            paragraph(text, level) + record(71, level + 1, b" lbt") for level in range(0, 1000, 2)
        )

    assert "".join(read(nested("가"))).count("가") >= 30


def test_a_cut_stream_gives_its_beginning_and_says_so():
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(paragraph(f"문단 {n} {hash((n, 1))}") for n in range(300))
    packed = deflate.compress(body) + deflate.flush()
    whole = write_hwp(KO, b"")
    header = whole[whole.index(b"HWP Document File") :][:256]
    parsed = hwp.parse(compound_file({"FileHeader": header, "BodyText/Section0": packed[: len(packed) // 2]}))
    assert 50 < len(parsed.elements) < 300
    assert [problem.part for problem in parsed.problems] == ["section 1"]


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(hwp_file, "MAX_UNPACKED_BYTES", 100_000)
    data = write_hwp(KO, paragraph("가" * 1000) * 100)
    for rung in (hwp.parse, hwp.parse_thorough, hwp.parse_plain):
        with pytest.raises(ParseFailed, match="unpacks to more"):
            rung(data)


def test_records_without_number_end_the_reading_and_are_told(monkeypatch):
    monkeypatch.setattr(hwp_file, "MAX_RECORDS", 30)
    parsed = hwp.parse(write_hwp(KO, paragraph("글") * 100))
    assert 5 < len(parsed.elements) < 30
    assert parsed.problems


def test_a_document_for_distribution_gives_its_preview_and_says_so():
    data = write_hwp(KO, flags=COMPRESSED | DISTRIBUTION, preview="제목\r\n<가><나>\r\n<1><2>")
    parsed = hwp.parse(data)
    assert texts(parsed) == ["제목", "| 가 | 나 |\n| --- | --- |\n| 1 | 2 |"]
    assert "preview" in parsed.problems[0].message
    assert hwp.parse_thorough(data).elements == hwp.parse_plain(data).elements == parsed.elements


def test_a_document_for_distribution_without_a_preview_is_refused():
    with pytest.raises(ParseFailed, match="preview"):
        hwp.parse(write_hwp(KO, flags=COMPRESSED | DISTRIBUTION))


@pytest.mark.parametrize("flag", [PASSWORD, 0x10, 0x100, 0x400])
def test_a_locked_document_ends_the_ladder(flag):
    for rung in (hwp.parse, hwp.parse_thorough, hwp.parse_plain):
        with pytest.raises(EncryptedDocument):
            rung(write_hwp(KO, hwp_body(KO), flags=COMPRESSED | flag))


def test_hwp_3_is_told_from_hwp_5():
    with pytest.raises(UnsupportedFormat, match="HWP 3"):
        hwp.parse(b"HWP Document File V3.00 \x1a\x01\x02\x03\x04\x05" + bytes(200))


@pytest.mark.parametrize(
    "data", [b"", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600]
)
def test_no_compound_file_is_a_parse_error(data):
    with pytest.raises(ParseFailed):
        hwp.parse(data)


def test_a_summary_with_absurd_counts_does_not_matter():
    data = bytearray(write_hwp(KO, paragraph("글")))
    at = data.index("부산항".encode("utf-16-le"))
    data[at - 4 : at] = b"\xff\xff\xff\x7f"
    parsed = hwp.parse(bytes(data))
    assert texts(parsed) == ["글"]
    assert parsed.metadata.author == KO.author


def test_every_rung_gives_the_text_of_a_plain_document():
    for data, rungs in (
        (write_hwp(KO, hwp_body(KO)), (hwp.parse, hwp.parse_thorough, hwp.parse_plain)),
        (
            write_hwpx(KO, p("첫 문단입니다") + p("둘째 문단")),
            (hwpx.parse, hwpx.parse_thorough, hwpx.parse_plain),
        ),
    ):
        expected = words(rungs[0](data))
        assert len(expected) > 3
        for rung in rungs[1:]:
            assert expected <= words(rung(data))


# --- HWPX ---------------------------------------------------------------------------------


def test_sections_of_hwpx_come_in_the_order_of_the_spine_and_none_is_lost():
    data = write_hwpx(
        KO, p("하나"), p("둘"), more={"Contents/section7.xml": "<sec><p><run><t>셋</t></run></p></sec>"}
    )
    assert texts(hwpx.parse(data)) == ["하나", "둘", "셋"]


def test_a_part_with_entities_is_refused():
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><sec><p><run><t>&b;</t></run></p></sec>'
    )
    parsed = hwpx.parse(write_hwpx(KO, p("하나"), more={"Contents/section1.xml": bomb}))
    assert texts(parsed) == ["하나"]
    assert [problem.part for problem in parsed.problems] == ["Contents/section1.xml"]
    with pytest.raises(ParseFailed):
        hwpx.parse(write_hwpx(KO, more={"Contents/section0.xml": bomb}))


def test_a_damaged_section_is_told_and_its_text_is_left_to_the_last_rung():
    more = {"Contents/section1.xml": "<sec><p><run><t>거의 다</t></run></p><p><run>"}
    data = write_hwpx(KO, p("하나"), more=more)
    assert len(hwpx.parse(data).problems) == 1
    assert texts(hwpx.parse_plain(data)) == ["하나", "거의 다"]


def test_a_package_with_a_password_is_told():
    more = {
        "META-INF/manifest.xml": '<manifest><file-entry><encryption-data checksum="x"/></file-entry></manifest>'
    }
    with pytest.raises(EncryptedDocument):
        hwpx.parse(write_hwpx(KO, p("하나"), more=more))


def test_a_part_that_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("tasks.parsing.hwpx_package.MAX_PART_BYTES", 50_000)
    for rung in (hwpx.parse, hwpx.parse_thorough, hwpx.parse_plain):
        with pytest.raises(ParseFailed, match="more than is read of one file"):
            rung(write_hwpx(KO, p("가" * 100_000)))


def test_a_package_without_sections_gives_its_preview_at_the_last_rung():
    parsed = hwpx.parse_plain(write_hwpx(KO))
    assert texts(parsed) == [KO.title]
    assert parsed.problems


def test_deleted_text_stays_out_only_in_its_paragraph():
    body = p("앞<hp:deleteBegin Id='1'/>지움") + p("뒤")
    assert texts(hwpx.parse(write_hwpx(KO, body))) == ["앞", "뒤"]


def test_cells_without_addresses_stand_in_their_order():
    row = tbl([("가", 0, 0, 1, 1), ("나", 1, 0, 1, 1)])
    bare = row.replace('<hp:cellAddr colAddr="0" rowAddr="0"/>', "").replace(
        '<hp:cellAddr colAddr="1" rowAddr="0"/>', ""
    )
    assert bare != row
    assert texts(hwpx.parse(write_hwpx(KO, bare))) == ["| 가 | 나 |\n| --- | --- |"]


def test_a_row_of_very_many_cells_takes_linear_time():
    row = "<hp:tc/>" * 100_000 + f"<hp:tc>{p('글')}</hp:tc>"  # quadratic time would be minutes
    body = f"<hp:p><hp:run><hp:tbl><hp:tr>{row}</hp:tr></hp:tbl></hp:run></hp:p>"
    assert "글" in texts(hwpx.parse(write_hwpx(KO, body)))[0]


def test_both_formats_read_the_same_features():
    assert texts(hwp.parse(write_hwp(KO, features_body())))[:3] == [
        "□ 추진 배경_및 *목적*", "각주가 있는 문장 다음 말.\n둘째 줄", "각주의 내용이다.",
    ]  # fmt: skip
