"""OCR without tesseract: words to lines, Korean pieces, columns, and merging pages."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from schemas.document import Element, ParsedDocument, PartProblem
from tasks.parsing import ocr
from tasks.parsing.ocr import OcrOptions, merge_pages, missing_advice, tesseract_version
from tasks.parsing.ocr_choice import with_latin
from tasks.parsing.ocr_image import MAX_PIXELS, prepare, tilt, without_rules
from tasks.parsing.ocr_layout import Word, confidence, elements_of_words, words_of


def row(words: str, line: int, *, left: int = 100, conf: float = 95, height: int = 30) -> list[Word]:
    """A line of words, 15 pixels a letter, lines 50 pixels apart."""
    found = []
    for text in words.split():
        right = left + 15 * len(text)
        found.append(Word(text, conf, left, 50 * line, right, 50 * line + height, (1, 1, line)))
        left = right + 10
    return found


def texts(words: list[Word]) -> list[str]:
    return [element.text for element in elements_of_words(words, 1, height=2000, dpi=200)]


def tsv(*words: tuple[str, int]) -> str:
    """Tesseract's answer for words of one line: text and left edge."""
    rows = [f"5\t1\t1\t1\t1\t{i}\t{left}\t10\t20\t30\t91.5\t{text}" for i, (text, left) in enumerate(words)]
    return "\n".join(["level\tpage_num", *rows]) + "\n"


def test_pieces_of_a_korean_word_are_joined_where_the_plain_text_has_no_space() -> None:
    answer = tsv(("점", 0), ("검", 20), ("대상은", 50)) + "점검 대상은\n"
    assert [(word.text, word.left, word.right) for word in words_of(answer)] == [
        ("점검", 0, 40),
        ("대상은", 50, 70),
    ]


def test_broken_rows_of_the_answer_do_no_harm() -> None:
    assert words_of("level\tpage\n5\t1\t1\n\n") == []
    assert words_of("") == []


def test_lines_of_specks_and_ruled_lines_are_left_out() -> None:
    words = [
        *row("A sure line of words", 1),
        *row("zq wx", 2, conf=30),
        *row("| —— |", 3),
        *row("i", 4, conf=60),
    ]
    assert texts(words) == ["A sure line of words"]


def test_large_type_read_twice_is_kept_once() -> None:
    ghost = [Word("Cotd", 40, 100, 95, 160, 118, (1, 1, 1))]
    assert texts([*ghost, *row("Cold storage", 2, conf=95)]) == ["Cold storage"]


def test_two_columns_of_text_are_read_one_after_the_other() -> None:
    words = [*row("Title across both of the columns of this page of a long journal", 1)]
    for line in range(2, 14):
        words += row(f"left column words of {line}", line)
        words += row(f"right column words {line}", line, left=520)
    text = "\n".join(texts(words))
    assert text.index("of 13") < text.index("right column words 2")


def test_columns_of_a_table_stay_in_their_rows() -> None:
    words: list[Word] = []
    for line in range(1, 14):
        words += [*row(f"Room{line}", line), *row(f"{line}.5", line, left=700)]
    assert "Room3 3.5" in "\n".join(texts(words))


def test_a_sure_latin_word_replaces_what_korean_alone_made_of_it() -> None:
    korean = [*row("서버", 1, conf=95), *row("뼈", 1, left=200, conf=30)]
    latin = Word("API", 95, 195, 50, 240, 80, (1, 1, 1))
    assert [word.text for word in with_latin(korean, [latin])] == ["서버", "API"]


def test_a_latin_word_does_not_replace_korean_that_was_read_well() -> None:
    korean = row("대상은", 1, conf=94)
    latin = Word("CHAS", 93, 100, 50, 150, 80, (1, 1, 1))
    assert with_latin(korean, [latin]) == korean


def words_at(conf: float, *words: tuple[str, int, int]) -> list[Word]:
    """Words of one line: text, left and right edge."""
    return [Word(text, conf, left, 50, right, 80, (1, 1, 1)) for text, left, right in words]


def read(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def test_a_short_word_that_korean_reads_as_a_number_is_taken_from_the_other_reading() -> None:
    korean = [*words_at(97, ("비고", 0, 60)), *words_at(93, ("800", 100, 150))]
    assert read(with_latin(korean, words_at(96, ("and", 100, 150)))) == ["비고", "and"]


def test_words_that_korean_reads_as_one_are_all_taken() -> None:
    korean = words_at(5, ("10117-[00", 100, 300))
    latin = words_at(96, ("forty-two", 100, 190), ("minutes", 200, 300))
    assert read(with_latin(korean, latin)) == ["forty-two", "minutes"]


@pytest.mark.parametrize(
    ("korean", "other", "taken"),
    [
        (("1.8%", 90), ("18%", 96), "1.8%"),
        (("23105", 54), ("23,105", 97), "23,105"),
        (("30,.000", 40), ("30,000", 92), "30,000"),
        (("2019", 80), ("2079", 96), "2019"),
        (("×", 84), ("x", 93), "×"),
    ],
)
def test_of_two_readings_of_a_number_the_one_with_its_signs_is_taken(
    korean: tuple[str, float], other: tuple[str, float], taken: str
) -> None:
    one, two = (words_at(conf, (text, 100, 160)) for text, conf in (korean, other))
    assert read(with_latin(one, two)) == [taken]


def test_a_latin_word_stuck_to_the_end_of_a_korean_sentence_is_one_of_its_own() -> None:
    answer = tsv(("없", 0), ("다", 20), (".8654", 50)) + "없다.8654\n"
    assert read(words_of(answer)) == ["없다.", "8654"]
    version = tsv(("판", 0), ("3.5", 30)) + "판3.5\n"
    assert read(words_of(version)) == ["판3.5"]


def test_a_ruled_line_beside_a_number_is_no_part_of_it() -> None:
    assert read(words_of(tsv(("|4,320", 0), ("_48", 90)) + "|4,320 _48\n")) == ["4,320", "48"]


def test_confidence_counts_letters_only() -> None:
    assert confidence([*row("||||", 1, conf=0), *row("ab", 1, conf=80)]) == 80
    assert confidence([]) == 0


# --- the image ---------------------------------------------------------------------------


def page_of_lines(angle: float = 0.0) -> Image.Image:
    image = Image.new("L", (1200, 1200), 255)
    draw = ImageDraw.Draw(image)
    for y in range(200, 1000, 50):
        for x in range(150, 1050, 40):
            draw.rectangle((x, y, x + 22, y + 20), fill=0)
    return image.rotate(angle, fillcolor=255)


@pytest.mark.parametrize("angle", [-3.0, -0.5, 0.0, 0.5, 2.0])
def test_the_tilt_of_lines_is_measured(angle: float) -> None:
    assert tilt(page_of_lines(angle)) == pytest.approx(-angle, abs=0.15)


def test_an_empty_image_has_no_tilt() -> None:
    assert tilt(Image.new("L", (500, 500), 255)) == 0


def test_ruled_lines_go_and_letters_stay() -> None:
    image = page_of_lines()
    ruled = image.copy()
    ImageDraw.Draw(ruled).line((50, 140, 1150, 140), fill=120, width=2)
    cleaned = np.asarray(without_rules(ruled, 200))
    assert cleaned[135:146].min() == 255
    assert (cleaned[200:] == np.asarray(image)[200:]).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"])
def test_every_mode_becomes_grey(mode: str) -> None:
    image = Image.new("L", (300, 200), 200)
    ready, dpi = prepare(image.convert(mode) if mode != "I;16" else Image.new("I;16", (300, 200)), 100)
    assert ready.mode == "L"
    assert max(ready.size) == 900  # too small to be read: enlarged three times
    assert dpi == 300


def test_what_is_transparent_is_white_and_light_writing_becomes_dark() -> None:
    clear = Image.new("RGBA", (1300, 100), (0, 0, 0, 0))
    assert prepare(clear, 200)[0].getextrema() == (255, 255)
    night = Image.new("L", (1300, 100), 10)
    assert prepare(night, 200)[0].getextrema() == (245, 245)


def test_a_huge_image_is_made_smaller() -> None:
    ready, dpi = prepare(Image.new("L", (10_000, 5_000), 255), 600)
    assert ready.width * ready.height <= MAX_PIXELS * 1.001
    assert dpi == 424


# --- tesseract ---------------------------------------------------------------------------


def test_a_language_without_data_is_no_version() -> None:
    assert tesseract_version("zzz_nothing") is None


def test_without_tesseract_there_is_no_version_and_advice_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tesseract_version.cache_clear()
    assert tesseract_version("kor+eng") is None
    tesseract_version.cache_clear()
    assert "tesseract-ocr tesseract-ocr-kor," in missing_advice("kor+eng")


def test_a_korean_page_is_read_once_more_with_korean_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(image: Image.Image, dpi: int, arguments: tuple[str, ...]) -> str:
        asked.append(arguments[3])
        return tsv(("점검", 0)) + "점검\n" if "kor" in arguments[3] else tsv(("Check", 0)) + "Check\n"

    monkeypatch.setattr(ocr, "_tesseract", answer)
    image = Image.new("L", (1300, 100), 255)
    ocr._read_upright(image, 200, OcrOptions())
    ocr._read_upright(image, 200, OcrOptions(languages="eng"))
    assert asked == ["kor+eng", "kor", "eng"]


# --- into the document -------------------------------------------------------------------


def page(number: int, *lines: str) -> ParsedDocument:
    return ParsedDocument("pdf", "application/pdf", tuple(Element(line, page=number) for line in lines))


def pages_of(merged: ParsedDocument) -> list[tuple[int | None, str]]:
    return [(element.page, element.text) for element in merged.elements]


def test_what_was_read_stands_in_the_order_of_pages() -> None:
    parsed = ParsedDocument("pdf", "", (Element("one", page=1), Element("three", page=3)), scans=(2,))
    merged = merge_pages(parsed, {2: page(2, "two")})
    assert pages_of(merged) == [(1, "one"), (2, "two"), (3, "three")]
    assert merged.scans == ()


def test_a_stamp_gives_way_to_the_page_and_stays_where_nothing_was_read() -> None:
    parsed = ParsedDocument("pdf", "", (Element("Received", page=1), Element("Copy", page=2)), scans=(1, 2))
    merged = merge_pages(parsed, {1: page(1, "The letter", "Received"), 2: page(2)})
    assert pages_of(merged) == [(1, "The letter"), (1, "Received"), (2, "Copy")]


def test_lines_at_the_edges_of_most_pages_are_left_out_and_those_within_stay() -> None:
    read = {
        n: page(
            n, "Annual report", f"Start of {'abcd'[n]}", "Annual report", f"End of {'abcd'[n]}", f"- {n} -"
        )
        for n in range(4)
    }
    merged = merge_pages(ParsedDocument("pdf", "", (), scans=(0, 1, 2, 3)), read)
    assert [text for number, text in pages_of(merged) if number == 2] == [
        "Start of c",
        "Annual report",
        "End of c",
    ]


def test_problems_of_pages_are_kept() -> None:
    problem = PartProblem("page 2", "ParseFailed", "It failed.")
    with_problem = ParsedDocument("pdf", "", (), problems=(problem,))
    assert merge_pages(ParsedDocument("pdf", "", (), scans=(2,)), {2: with_problem}).problems == (problem,)
