"""PDF: text, paragraphs, headings, running lines, metadata and what cannot be read."""

import io
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DictionaryObject, NameObject, NumberObject, StreamObject

from schemas.document import Element
from schemas.errors import EmptyDocument, EncryptedDocument, ParseFailed
from tasks.cleaning import clean
from tasks.parsing import pdf as parser
from tasks.parsing import pdf_plain
from tasks.parsing.pdf_fonts import has_korean_font
from tasks.parsing.pdf_usable import is_garbage
from tests.unit.parsing_inputs import Text, lines, pdf

FULL = "Words that fill the whole width of this column up to here and"


NEEDS_FONT = pytest.mark.skipif(
    not has_korean_font(), reason="no Korean font here: scripts/install-debian.sh installs one"
)


def texts(data: bytes) -> list[str]:
    return [block.text for block in clean(parser.parse(data)).blocks]


def test_pages_are_counted_from_one_and_lines_marked_as_wrapped() -> None:
    parsed = parser.parse(pdf(lines("First page."), lines("Second page.")))
    assert parsed.elements == (
        Element("First page.", page=1, wrapped=True),
        Element("Second page.", page=2, wrapped=True),
    )


def test_a_wrapped_paragraph_is_one_and_a_short_line_ends_it() -> None:
    page = lines(FULL, "this is its end.", FULL, FULL, "the second one.")
    assert texts(pdf(page)) == [f"{FULL} this is its end.", f"{FULL} {FULL} the second one."]


def test_a_larger_gap_ends_a_paragraph() -> None:
    page = [*lines(FULL, FULL, top=760), *lines(FULL, FULL, top=710)]
    assert texts(pdf(page)) == [f"{FULL} {FULL}"] * 2


def test_list_markers_begin_elements() -> None:
    page = lines(FULL, "- " + FULL, "  and more", "1. " + FULL, "2) last")
    assert texts(pdf(page)) == [FULL, f"- {FULL} and more", f"1. {FULL}", "2) last"]


def test_rows_of_a_table_stay_lines_of_one_element() -> None:
    rows: list[Text] = []
    for i, (name, value) in enumerate([("Unit", "Value"), ("one", "2.1"), ("two", "3.3"), ("three", "4.0")]):
        rows += [(60, 600 - i * 18, 10, name), (380, 600 - i * 18, 10, value)]
    page = [*lines(FULL, FULL, FULL, "end."), *rows]
    assert texts(pdf(page))[-1] == "Unit Value\none 2.1\ntwo 3.3\nthree 4.0"


def test_korean_words_broken_by_the_layout_are_joined_again() -> None:
    # Each line is full to the last syllable and no space is left where it was broken.
    whole = (
        "데이터를 저장하는 방법은 여러 가지가 있습니다. "
        "저장하는 데이터를 처리하는 방법은 데이터에 따라 다릅니다. "
    )
    text = (whole * 12).strip()
    width = 37
    cut = [text[i : i + width] for i in range(0, len(text), width)]
    page = [(60.0, 780 - i * 14, 10.0, line.strip()) for i, line in enumerate(cut)]
    inside = sum(line[-1] != " " and after[0] != " " for line, after in pairwise(cut))
    got = texts(pdf(page))
    assert "".join(got).replace(" ", "") == text.replace(" ", "")
    assert inside >= 10
    assert abs(" ".join(got).count(" ") - text.count(" ")) <= 1


def test_korean_lines_broken_at_spaces_keep_their_spaces() -> None:
    words = ("데이터를 저장하는 방법은 여러 가지가 있습니다. 처리하는 방법도 그렇습니다. " * 8).split()
    cut, current = [], ""
    for word in words:
        if len(current) + len(word) >= 36:
            cut.append(current)
            current = ""
        current = f"{current} {word}".strip()
    cut.append(current)
    page = [(60.0, 780 - i * 14, 10.0, line) for i, line in enumerate(cut)]
    assert " ".join(texts(pdf(page))) == " ".join(words)


def body(i: int) -> list[Text]:
    return lines(f"Body of the page {'ABCDEFGH'[i]}", "and its second line", top=700)


def test_running_titles_and_page_numbers_are_left_out() -> None:
    pages = [
        [(60.0, 810.0, 8.0, f"Annual report {2020 + i}"), *body(i), (290.0, 30.0, 8.0, f"- {i + 1} -")]
        for i in range(5)
    ]
    assert texts(pdf(*pages)) == texts(pdf(*(body(i) for i in range(5))))


def test_page_numbers_beside_changing_titles_are_left_out() -> None:
    pages = [[(60.0, 810.0, 8.0, f"Chapter {'AABBBC'[i]} - {i + 1}"), *body(i)] for i in range(5)]
    assert not any("Chapter" in text for text in texts(pdf(*pages)))


def test_numbered_questions_at_the_top_of_their_pages_stay() -> None:
    pages = [[(60.0, 790.0, 10.0, f"{i + 1} What is {'ABCDE'[i]}?"), *body(i)] for i in range(5)]
    assert [text for text in texts(pdf(*pages)) if "What" in text] == [
        f"{i + 1} What is {'ABCDE'[i]}?" for i in range(5)
    ]


def test_large_type_at_the_top_of_each_page_stays() -> None:
    pages = [[(60.0, 790.0, 20.0, f"Step {i + 1}"), *body(i)] for i in range(5)]
    assert [text for text in texts(pdf(*pages)) if "Step" in text] == [f"Step {i + 1}" for i in range(5)]


def test_a_line_that_repeats_on_few_pages_or_in_the_body_stays() -> None:
    pages = [[*body(i), (60.0, 30.0, 8.0, "Note")] for i in range(2)]
    assert texts(pdf(*pages)).count("Note") == 2
    pages = [[*lines("Same line", top=400), *body(i)] for i in range(6)]
    assert texts(pdf(*pages)).count("Same line") == 6


def test_a_document_of_running_lines_only_is_kept() -> None:
    assert texts(pdf(*[[(60.0, 810.0, 8.0, "Certificate")]] * 5)) == ["Certificate"] * 5


def test_larger_type_makes_headings_by_rank() -> None:
    page = [
        (60.0, 780.0, 20.0, "Title"),
        *lines(FULL, FULL, FULL, "end.", top=740),
        (60.0, 660.0, 14.0, "Section"),
        *lines(FULL, FULL, "end.", top=640),
    ]
    headings = [(e.text, e.level) for e in parser.parse(pdf(page)).elements if e.kind == "heading"]
    assert headings == [("Title", 1), ("Section", 2)]


def test_the_outline_decides_on_headings_where_there_is_one() -> None:
    writer = pypdf.PdfWriter(
        clone_from=io.BytesIO(pdf([(60.0, 780.0, 20.0, "Big"), *lines("1 Intro", FULL, top=700)]))
    )
    writer.add_outline_item(title="Intro", page_number=0)
    buffer = io.BytesIO()
    writer.write(buffer)
    kinds = [(e.text, e.kind, e.level) for e in parser.parse(buffer.getvalue()).elements]
    assert kinds == [("Big", "text", 0), ("1 Intro", "heading", 1), (FULL, "text", 0)]


def test_the_information_dictionary_is_metadata() -> None:
    metadata = parser.parse(pdf(lines("x"), title="A title", created="D:20260531120000Z")).metadata
    assert (metadata.title, metadata.author) == ("A title", None)
    assert metadata.authored_at == datetime(2026, 5, 31, 12, tzinfo=UTC)


def test_an_entry_that_is_no_text_costs_only_itself() -> None:
    data = pdf(lines("x"), title="wxyz", created="D:20260531120000Z").replace(b"(wxyz)", b"<FEFFD800>")
    parsed = parser.parse(data)
    assert parsed.metadata.title in (None, "\ufffd")
    assert parsed.metadata.authored_at == datetime(2026, 5, 31, 12, tzinfo=UTC)


def encrypted(user_password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(lines("Secret words"))))
    writer.encrypt(user_password, "owner", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_a_pdf_that_needs_a_password_is_named_so() -> None:
    with pytest.raises(EncryptedDocument, match="password"):
        parser.parse(encrypted("user"))


def test_a_pdf_that_only_restricts_printing_is_read() -> None:
    assert texts(encrypted("")) == ["Secret words"]


def test_blank_pages_are_an_empty_document_and_no_scan() -> None:
    with pytest.raises(EmptyDocument, match="2 pages, none with text or anything that OCR could read"):
        parser.parse(pdf([], []))


def with_content(data: bytes, page: int, content: bytes) -> bytes:
    """The same PDF with other content on a page; it can show the image /I."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    image = StreamObject()
    image.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(1),
            NameObject("/Height"): NumberObject(1),
            NameObject("/BitsPerComponent"): NumberObject(8),
            NameObject("/ColorSpace"): NameObject("/DeviceGray"),
        }
    )
    image._data = b"\x80"
    target = writer.pages[page]
    images = DictionaryObject({NameObject("/I"): writer._add_object(image)})
    target["/Resources"][NameObject("/XObject")] = images
    stream = StreamObject()
    stream._data = content
    target[NameObject("/Contents")] = writer._add_object(stream)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


FULL_PAGE_IMAGE = b"q 595 0 0 842 0 0 cm /I Do Q "
STAMP = b"BT /L 8 Tf 60 20 Td (Received by the registry, page 1 of 3) Tj ET"
BODY = b"BT /L 10 Tf 14 TL 60 700 Td " + b"(%s) Tj T* " % FULL.encode() * 20 + b"ET"


@pytest.mark.parametrize(
    ("content", "scans"),
    [
        (FULL_PAGE_IMAGE, (2,)),
        (FULL_PAGE_IMAGE + STAMP, (2,)),
        (FULL_PAGE_IMAGE + BODY, ()),
        (b"q 20 0 0 20 60 60 cm /I Do Q ", ()),
        (b"q 200 0 0 200 3000 3000 cm /I Do Q ", ()),
        (b"q 300 0 0 300 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x80 EI Q", (2,)),
        (b"10 10 m " + b"20 30 l 40 50 60 70 80 90 c " * 40 + b"f", (2,)),
        (b"10 10 500 700 re S", ()),
        (b"BT 3 Tr /L 10 Tf 60 700 Td ( ) Tj ET", ()),
    ],
    ids=[
        "image", "image and stamp", "image under text", "icon", "image off the page", "inline image",
        "outlined letters", "frame", "invisible space",
    ],
)  # fmt: skip
def test_a_page_is_a_scan_that_shows_something_and_has_hardly_any_text(
    content: bytes, scans: tuple[int, ...]
) -> None:
    parsed = parser.parse(with_content(pdf(lines("First"), [], lines("Last")), 1, content))
    assert parsed.scans == scans
    assert {1, 3} <= {element.page for element in parsed.elements}


@pytest.mark.parametrize(
    ("text", "garbage"),
    [
        ("\x01\x02 \x03\x04\x05 ab \x06", True),
        ("\ue001\ue002\ue003 \ue004", True),
        ("(cid:12)(cid:7) (cid:99)", True),
        ("!\"#$ %&'( )*+, #$%& !\"#$ %&'(", True),
        ("\ufffd\ufffd\ufffd", True),
        ("\uf0b7 A bullet from a symbol font", False),
        ("Chapter one ................. 5", False),
        ("제2냉동실은 -15.1도까지 올라갔다.", False),
        ("", False),
    ],
)
def test_text_of_fonts_without_a_map_to_unicode_is_told(text: str, garbage: bool) -> None:
    assert is_garbage(text) is garbage


def test_a_page_that_cannot_be_read_is_told_and_the_others_are_read() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(lines("First"), lines("Second"), lines("Third"))))
    stream = StreamObject()
    stream._data = bytes(range(256)) * 4
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    writer.pages[1][NameObject("/Contents")] = writer._add_object(stream)
    buffer = io.BytesIO()
    writer.write(buffer)
    parsed = parser.parse(buffer.getvalue())
    assert [element.text for element in parsed.elements] == ["First", "Third"]
    assert [problem.part for problem in parsed.problems] == ["page 2"]


def test_values_of_form_fields_stand_behind_their_labels() -> None:
    data = (Path(__file__).parents[1] / "formats" / "fixtures" / "form.en.pdf").read_bytes()
    assert "Name: Ingrid Halvorsen" in texts(data)


def test_a_page_tree_that_claims_a_billion_pages_ends() -> None:
    data = pdf(lines("Only one")).replace(b"/Count 1>>", b"/Count 999999999>>")
    try:
        parsed = parser.parse(data)
    except ParseFailed:
        return
    assert parsed.elements[0].text == "Only one"
    assert len(parsed.problems) <= 2


def test_a_page_tree_that_contains_itself_ends() -> None:
    data = pdf(lines("Only one")).replace(b"/Kids[8 0 R]", b"/Kids[2 0 R]")
    with pytest.raises((ParseFailed, EmptyDocument)):
        parser.parse(data)


@pytest.mark.parametrize("size", ["0 0 0 0", "0 0 9e9 9e9", "0 0 .001 .001", "0 0 -5 nan"])
def test_absurd_page_sizes_cost_no_memory(size: str) -> None:
    data = pdf(lines("Words")).replace(b"0 0 595 842", size.encode())
    try:
        image, _ = parser.render_page(data, 1, 300)
    except ParseFailed:
        return
    assert image.width * image.height <= 26_000_000


def test_a_page_is_rendered_in_grey_at_the_resolution_asked_for() -> None:
    image, dpi = parser.render_page(pdf(lines("Words")), 1, 100)
    assert (image.mode, dpi) == ("L", 100)
    assert image.width == pytest.approx(595 * 100 / 72, abs=2)


def test_the_second_rung_reads_text_and_metadata_by_page() -> None:
    parsed = pdf_plain.parse(pdf(lines("First"), [], lines("Third"), title="A title"))
    assert [(e.text, e.page) for e in parsed.elements] == [("First", 1), ("Third", 3)]
    assert parsed.metadata.title == "A title"
    assert [problem.part for problem in parsed.problems] == ["page 2"]


def test_the_second_rung_names_what_needs_a_password() -> None:
    with pytest.raises(EncryptedDocument):
        pdf_plain.parse(encrypted("user"))


def test_the_second_rung_refuses_what_is_no_pdf() -> None:
    with pytest.raises((ParseFailed, EmptyDocument)):
        pdf_plain.parse(b"%PDF-1.7\n" + bytes(range(256)) * 10)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_truncated_pdf_is_refused(share: float) -> None:
    data = pdf(lines(FULL, FULL))
    with pytest.raises(ParseFailed, match="damaged or cut off"):
        parser.parse(b"%PDF-1.7\n" + data[9 : int(len(data) * share)])


# --- what LibreOffice does ----------------------------------------------------------------

HANGUL = 10.5
LATIN = 12.0


def run_with_spaces(*words: str, left: float, y: float) -> tuple[list[Text], float]:
    """Hangul words with gaps, their spaces drawn after them; where the last word ends."""
    drawn: list[Text] = []
    gaps: list[Text] = []
    for word in words:
        drawn.append((left, y, HANGUL, word))
        left += HANGUL * len(word)
        gaps.append((left, y, HANGUL, " "))
        left += 0.32 * HANGUL
    return [*drawn, *gaps[:-1]], left - 0.32 * HANGUL


def test_spaces_drawn_after_their_run_stand_where_they_are_seen() -> None:
    run, end = run_with_spaces("점검", "결과를", "적는다", left=60, y=700)
    assert texts(pdf([*run, (end + 0.2, 700, LATIN, ".")])) == ["점검 결과를 적는다."]


def test_without_a_korean_font_a_lone_letter_is_lost_and_this_is_known() -> None:
    found = texts(pdf([(60.0, 700.0, 12.0, "First"), (60.0, 600.0, 12.0, "제")]))
    assert ("제" in found) == has_korean_font()


@NEEDS_FONT
def test_the_gap_between_scripts_is_no_space_but_a_wider_one_is() -> None:
    narrow = [(60.0, 700.0, 12.0, "제"), (74.4, 700.0, 12.0, "2"), (84.0, 700.0, 12.0, "장의")]
    wide = [(60.0, 700.0, 12.0, "제"), (76.0, 700.0, 12.0, "2"), (87.2, 700.0, 12.0, "장의")]
    assert texts(pdf(narrow)) == ["제2장의"]
    assert texts(pdf(wide)) == ["제 2 장의"]


def test_cells_that_stand_close_together_stay_apart() -> None:
    row: list[Text] = [
        (60.0, 700.0, 10.0, "1001"),
        (86.0, 700.0, 10.0, "김하늘"),
        (200.0, 700.0, 10.0, "인사"),
    ]
    assert texts(pdf(row)) == ["1001 김하늘 인사"]


KOREAN = "데이터를 저장하는 방법은 여러 가지가 있고 처리하는 방법도 그렇습니다"


def test_latin_letters_set_larger_than_hangul_make_no_heading() -> None:
    rows = [(60.0, 600 - i * 14.0, 10.5, f"부품 {i}") for i in range(4)]
    codes = [(130.0, 600 - i * 14.0, 12.0, f"{i},000") for i in range(4)]
    body = [(60.0, 780 - i * 12.0, 10.5, KOREAN) for i in range(14)]
    ends = [(60 + 10.5 * len(KOREAN), 780 - i * 12.0, 10.5, ".") for i in range(14)]
    page = [item for pair in zip((*body, *rows), (*ends, *codes), strict=True) for item in pair]
    assert {element.kind for element in parser.parse(pdf(page)).elements} == {"text"}


@NEEDS_FONT
def test_a_last_line_whose_full_stop_is_larger_belongs_to_its_paragraph() -> None:
    page: list[Text] = []
    for i in range(3):
        y = 780 - i * 28.0
        page += [(60.0, y, 10.5, f"{KOREAN} "), (60.0, y - 14, 10.5, "세운다"), (91.6, y - 14, 12.0, ".")]
    assert texts(pdf(page)) == [f"{KOREAN} 세운다."] * 3


def test_a_footnote_mark_stands_behind_its_word() -> None:
    page: list[Text] = [
        (60.0, 700.0, 10.0, "A claim"),
        (102.0, 704.0, 5.8, "4"),
        (106.0, 700.0, 10.0, "of all."),
    ]
    assert "".join(texts(pdf(page))).replace(" ", "") == "Aclaim4ofall."
    assert len(texts(pdf(page))) == 1


def test_code_in_smaller_type_does_not_cut_its_paragraph() -> None:
    page = [
        *lines(FULL, FULL, FULL),
        (60.0, 738.0, 9.0, "code_of_this"),
        (130.0, 738.0, 10.0, "is all the rest of it"),
    ]
    assert len(texts(pdf(page))) == 1


def test_running_lines_of_three_pages_are_left_out() -> None:
    pages = [[(60.0, 810.0, 8.0, "For staff only"), *body(i), (290.0, 30.0, 8.0, "End")] for i in range(3)]
    assert texts(pdf(*pages)) == texts(pdf(*(body(i) for i in range(3))))


def test_records_that_differ_by_their_numbers_stay() -> None:
    pages = [
        [(60.0, 790.0, 10.0, f"Invoice {number} of customer 7"), *body(i)]
        for i, number in enumerate((31, 58, 12, 77, 20))
    ]
    assert sum("Invoice" in text for text in texts(pdf(*pages))) == 5


def test_two_headings_of_the_same_letters_on_a_page_are_both_found() -> None:
    data = pdf([*lines("Chapter 1", FULL, top=780), *lines("Chapter 2", FULL, top=700)])
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    for number in (1, 2):
        writer.add_outline_item(title=f"Chapter {number}", page_number=0)
    buffer = io.BytesIO()
    writer.write(buffer)
    headings = [e.text for e in parser.parse(buffer.getvalue()).elements if e.kind == "heading"]
    assert headings == ["Chapter 1", "Chapter 2"]
