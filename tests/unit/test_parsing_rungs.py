"""Every rung of the office formats reads a whole file and says why it cannot read a damaged one."""

from pathlib import Path

import pytest

from schemas.document import ParsedDocument
from schemas.errors import DocumentError
from tasks.parsing.base import choose_parser, parse_file
from tasks.parsing.formats import PARSERS
from tests.formats.build_text import FIXTURES
from tests.formats.source import REPORTS
from tests.formats.test_formats import text_recall

SUFFIXES = ("docx", "pptx", "xlsx", "ods", "odt", "epub")


def rungs_of(path: Path) -> range:
    return range(len(PARSERS[choose_parser(path.read_bytes()[:65536], path.name)].rungs))


CASES = [
    (f"report.{language}.{suffix}", rung)
    for suffix in SUFFIXES
    for language in ("en", "ko")
    for rung in rungs_of(FIXTURES / f"report.{language}.{suffix}")
    if (suffix, rung) != ("ods", 1)  # openpyxl reads no ODS
]


@pytest.mark.parametrize(("name", "rung"), CASES)
def test_every_rung_brings_the_text_back(name: str, rung: int) -> None:
    parsed = parse_file(FIXTURES / name, name, rung)
    report = REPORTS[name.split(".")[1]]
    is_without_sheet_names = parsed.parser == "spreadsheet" and rung == 2
    assert text_recall(report, parsed) >= (0.95 if is_without_sheet_names else 0.98)
    assert parsed.parser == parse_file(FIXTURES / name, name).parser


@pytest.mark.parametrize(("name", "rung"), [(name, rung) for name, rung in CASES if ".ko." in name])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_file_cut_off_gives_part_of_its_text_and_says_so_or_an_error(
    tmp_path: Path, name: str, rung: int, share: float
) -> None:
    data = (FIXTURES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    try:
        parsed: ParsedDocument = parse_file(path, name, rung)
    except DocumentError as error:
        assert error.advice
    else:
        assert parsed.problems


@pytest.mark.parametrize("suffix", ["docx", "pptx", "odt", "epub"])
def test_the_last_rung_finds_text_in_most_of_a_file(tmp_path: Path, suffix: str) -> None:
    name = f"report.ko.{suffix}"
    data = (FIXTURES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * 0.9)])
    parsed = parse_file(path, name, 2)
    assert text_recall(REPORTS["ko"], parsed) > 0.5
