"""Lines that were wrapped at a column come together; lines that their author set stay."""

import base64
import textwrap

import pytest

from tasks.cleaning import clean
from tasks.parsing import text
from tests.formats.build_text import _cut
from tests.formats.source import EN, KO

ENGLISH = [p for section in EN.sections for p in section.paragraphs]
KOREAN = [p for section in KO.sections for p in section.paragraphs]


def read(source: str) -> str:
    return clean(text.parse(source.encode())).text


@pytest.mark.parametrize("column", [60, 72, 80])
def test_english_prose_comes_back_as_it_was(column):
    assert read("\n\n".join(textwrap.fill(p, column) for p in ENGLISH)) == "\n\n".join(ENGLISH)


@pytest.mark.parametrize("column", [60, 72, 80])
def test_nearly_all_spaces_of_cut_korean_come_back(column):
    wanted, found = "\n\n".join(KOREAN), read("\n\n".join(_cut(p, column) for p in KOREAN))
    assert found.replace(" ", "") == wanted.replace(" ", "")
    places = [{len(t[:i].replace(" ", "")) for i, c in enumerate(t) if c == " "} for t in (wanted, found)]
    assert len(places[0] & places[1]) >= 0.98 * len(places[0])


def test_korean_wrapped_between_words_comes_back_as_it_was():
    paragraphs = []
    for paragraph in KOREAN:
        lines = [""]
        for word in paragraph.split(" "):
            if sum(2 if c >= "가" else 1 for c in lines[-1] + word) > 70:
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else word
        paragraphs.append("\n".join(lines))
    assert read("\n\n".join(paragraphs)) == "\n\n".join(KOREAN)


def test_a_hyphen_at_which_a_line_was_wrapped_stays():
    prose = (
        "The auditors wanted a well-known and long-lasting seal for the outer doors of every cold-room. " * 8
    )
    assert read(textwrap.fill(prose, 40)) == prose.strip()


POEM = "\n".join(["The woods are lovely, dark and deep,", "But I have promises to keep,",
                  "And miles to go before I sleep,", "And miles to go before I sleep."] * 2)  # fmt: skip
ADDRESS = "Ingrid Halvorsen\nNorthern Quay 14\n5003 Bergen\nNorway\nphone 55 12 34 56\nfax none"
LOG = "\n".join(
    f"2026-04-17 10:0{i}:00 INFO door {'open ' * (i % 4)}at the loading bay, sensor {i}" for i in range(9)
)
TABLE = "\n".join(f"Cold room {i}     -18.{i}      within the limits of the contract" for i in range(9))
BASE64 = base64.encodebytes(bytes(range(256)) * 4).decode().strip()
CODE = "\n".join(f"    value_{i} = compute(the_argument, another_argument);" for i in range(9))
MENU = "\n".join(["김치찌개와 밥", "된장찌개와 밥", "비빔밥", "냉면과 만두", "불고기 정식 이 인분", "떡국"])


@pytest.mark.parametrize("source", [POEM, ADDRESS, LOG, TABLE, BASE64, CODE, MENU])
def test_lines_of_their_author_stay(source):
    elements = text.parse(source.encode()).elements
    assert [(e.text, e.wrapped) for e in elements] == [(source, False)]


def test_items_of_a_list_are_elements_and_their_wrapped_lines_come_together():
    item = "- " + " ".join(ENGLISH[0].split()[:40])
    source = "\n".join(textwrap.fill(item, 60, subsequent_indent="  ") for _ in range(4))
    elements = text.parse(source.encode()).elements
    assert [e.kind for e in elements] == ["list_item"] * 4
    assert clean(text.parse(source.encode())).text == "\n\n".join([item] * 4)
