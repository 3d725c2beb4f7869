"""Lines that were wrapped at a column come together; lines that their author set stay."""

import base64
import textwrap

import pytest

from tasks.cleaning import clean
from tasks.parsing import markdown, text
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


RAGGED = """제1조(목적) 이 규정은 회사 임직원의 출장에 관하여 필요한 사항을 정함을 목
적으로 한다. 출장이라 함은 상사의 명을 받아 정규 근무지를 떠나 업무를 수
행하는 것을 말한다. 출장자는 출발 삼 일 전까지 신청서를 제출하여야 하며 부
득이한 경우에는 사후에 제출할 수 있다. 출장비는 직급과 지역에 따라 따로 정
하는 기준에 따라 지급하고 숙박비는 실비로 정산함을 원칙으로 하되 상한을 둔
다. 정산은 귀임 후 칠 일 이내에 증빙을 갖추어 마쳐야 한다."""
BETWEEN_WORDS = """이 문서는 낱말 단위로 줄을 바꾼 글이다. 창고 관리자는 매일 아침 온도를
기록하고 이상이 있으면 바로 설비 담당자에게 알려야 한다. 설비 담당자는
한 시간 안에 현장을 확인하고 조치 결과를 기록부에 남긴다. 기록부는 삼 년
동안 보관하며 감사 때에 제출한다. 보관 장소는 본관 이 층 문서고로 한다.
문서고의 열쇠는 창고 관리자와 설비 담당자가 하나씩 나누어 가지며 잃으면
바로 총무팀에 알려야 한다."""


@pytest.mark.parametrize("parse", [text.parse, markdown.parse])
@pytest.mark.parametrize(("source", "space"), [(RAGGED, ""), (BETWEEN_WORDS, " ")])
def test_korean_lines_of_about_one_length_come_together_by_what_their_breaks_are(parse, source, space):
    assert clean(parse(source.encode())).text == source.replace("\n", space)


@pytest.mark.parametrize("parse", [text.parse, markdown.parse])
@pytest.mark.parametrize("characters", [35, 40])
def test_lines_of_a_number_of_characters_come_together(parse, characters):
    prose = " ".join(RAGGED.replace("\n", "").split())
    prose = f"{prose} {prose}"
    lines, at = [], 0
    while at < len(prose):
        lines.append(prose[at : at + characters].rstrip())
        at += characters + (prose[at + characters : at + characters + 1] == " ")
    found, wanted = clean(parse("\n".join(lines).encode())).text.split(), prose.split()
    assert len(set(wanted) & set(found)) >= 0.98 * len(set(wanted))


def test_the_end_of_a_sentence_is_no_marker_without_the_letter_before_it():
    assert len(text.parse("가. 창고를 연다\n나. 창고를 닫는다\n다. 문서를 쓴다".encode()).elements) == 3
    assert len(text.parse(RAGGED.encode()).elements) == 1


def test_a_single_soft_line_end_in_markdown_is_a_space():
    assert clean(markdown.parse("창고를 매일\n점검한다.".encode())).text == "창고를 매일 점검한다."


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

KOREAN_POEM = """바람이 부는 저녁 부둣가에 앉아
나는 오래된 편지를 다시 읽는다
등대는 말없이 불을 켜고 있고
바다는 밤새 같은 말을 한다
떠난 배는 돌아오지 않는데
갈매기만 홀로 남아 울고 있다"""
KOREAN_ADDRESSES = """서울특별시 중구 세종대로 110 시청 본관 이 층 민원실
경기도 수원시 팔달구 효원로 241 도청 별관
인천광역시 남동구 정각로 29 시청 물류과 앞
부산광역시 연제구 중앙대로 1001 시청 삼 층
대전광역시 서구 둔산로 100 시청 지하 일 층 창고"""
SENTENCES = "\n".join(
    f"{n} 번 창고의 온도는 정상이었고 습도는 기준 안에 있었으며 문은 닫혀 있었다." for n in "일이삼사오육칠"
)


@pytest.mark.parametrize(
    "source", [KOREAN_POEM, KOREAN_ADDRESSES, SENTENCES, POEM, ADDRESS, LOG, TABLE, BASE64, CODE, MENU]
)
def test_lines_of_their_author_stay(source):
    elements = text.parse(source.encode()).elements
    assert [(e.text, e.wrapped) for e in elements] == [(source, False)]


def test_items_of_a_list_are_elements_and_their_wrapped_lines_come_together():
    item = "- " + " ".join(ENGLISH[0].split()[:40])
    source = "\n".join(textwrap.fill(item, 60, subsequent_indent="  ") for _ in range(4))
    elements = text.parse(source.encode()).elements
    assert [e.kind for e in elements] == ["list_item"] * 4
    assert clean(text.parse(source.encode())).text == "\n\n".join([item] * 4)
