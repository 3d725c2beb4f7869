"""Scanned fixtures read by tesseract, against the text that they were made from."""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path

import pytest

from schemas.document import ParsedDocument
from tasks.cleaning import clean
from tasks.parsing.base import parse_file
from tasks.parsing.ocr import OcrOptions, merge_pages, read_page, tesseract_version
from tests.formats.source import REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"
SCANS = sorted(FIXTURES.glob("scan.*"))
MIN_WORDS = 0.93
MIN_CHARACTERS = 0.95

pytestmark = pytest.mark.skipif(
    tesseract_version("kor+eng") is None,
    reason="tesseract with Korean and English is not installed: scripts/install-debian.sh",
)


def read(path: Path) -> ParsedDocument:
    parsed = parse_file(path, path.name)
    pages = {number: read_page(path, parsed.parser, number, OcrOptions()) for number in parsed.scans}
    return merge_pages(parsed, pages)


def word_recall(report: Report, text: str) -> float:
    """Share of the report's words that were read, each as often as there."""
    wanted = Counter(report.words())
    return (wanted & Counter(text.split())).total() / wanted.total()


def character_recall(report: Report, text: str) -> float:
    """Share of the report's characters, spaces aside, that were read in their order."""
    wanted, found = "".join(report.words()), "".join(text.split())
    blocks = difflib.SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(wanted)


@pytest.mark.parametrize("path", SCANS, ids=lambda path: path.name)
def test_a_scan_is_read(path: Path) -> None:
    report, text = REPORTS[path.name.split(".")[1]], clean(read(path)).text
    assert word_recall(report, text) >= MIN_WORDS
    assert character_recall(report, text) >= MIN_CHARACTERS


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_scanned_page_of_a_mixed_pdf_stands_between_the_others(language: str) -> None:
    merged = read(FIXTURES / f"mixed.{language}.pdf")
    pages = [element.page for element in merged.elements]
    assert pages == sorted(pages)
    assert set(pages) == {1, 2, 3}
    assert merged.scans == ()
    second = " ".join(element.text for element in merged.elements if element.page == 2)
    section = REPORTS[language].sections[1]
    words = " ".join((section.title, *section.paragraphs, *section.items)).split()
    assert sum(word in second for word in words) >= MIN_WORDS * len(words)


def test_a_page_with_a_stamp_over_its_scan_is_read_as_a_scan() -> None:
    text = clean(read(FIXTURES / "stamped-scan.en.pdf")).text
    assert "contracts with our customers" in text


def test_a_page_of_letters_without_unicode_is_read_by_ocr() -> None:
    text = clean(read(FIXTURES / "no-unicode-map.ko.pdf")).text
    assert "냉동창고" in text
    assert "\x01" not in text
