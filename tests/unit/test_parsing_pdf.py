"""PDF: text, paragraphs, headings, running lines, metadata and what cannot be read."""

import io
from datetime import UTC, datetime
from itertools import pairwise

import pypdf
import pytest

from schemas.document import Element
from schemas.errors import EmptyDocument, EncryptedDocument, ParseFailed
from tasks.cleaning import clean
from tasks.parsing import pdf as parser
from tests.unit.parsing_inputs import Text, lines, pdf

FULL = "Words that fill the whole width of this column up to here and"


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


def test_pages_without_text_are_told_as_a_likely_scan() -> None:
    with pytest.raises(EmptyDocument, match="2 pages and no text layer: it is likely a scan"):
        parser.parse(pdf([], []))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_truncated_pdf_is_refused(share: float) -> None:
    data = pdf(lines(FULL, FULL))
    with pytest.raises(ParseFailed, match="damaged or cut off"):
        parser.parse(b"%PDF-1.7\n" + data[9 : int(len(data) * share)])
