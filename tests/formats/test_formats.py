"""Every fixture against the text it was made from, and against its golden output.

A fixture is `fixtures/report.LANGUAGE.SUFFIX`, the report of `source.py` in one format, or has any
other name: then there is only a golden output. (`scan.LANGUAGE.SUFFIX` is read by OCR: test_ocr.py.)
`REVECTOR_UPDATE_GOLDEN=1` writes golden outputs anew: look at the difference before you commit it.
"""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from schemas.document import ParsedDocument
from tasks.cleaning import clean
from tasks.parsing.base import choose_parser, parse_file
from tasks.parsing.formats import PARSERS
from tests.formats.source import REPORTS, Report

HERE = Path(__file__).parent
FIXTURES = sorted(path for path in (HERE / "fixtures").iterdir() if path.is_file())
REPORT_FIXTURES = [path for path in FIXTURES if path.name.startswith("report.")]
MIN_TEXT_RECALL = 0.98
MIN_CELL_RECALL = 0.95
CELLS_PROMISED = ("docx", "xlsx", "html", "hwpx")
BUILDERS = ("code", "hwp", "mail", "office", "rtf", "sheets", "text")
"""Those of PDFs and scans need fonts that are not everywhere."""
PARTLY = {("opendocument", "pages")}
"""Found in one format of the parser (ODP), not in the other (ODT): the table claims what holds for both."""
UPDATE = os.environ.get("REVECTOR_UPDATE_GOLDEN") == "1"


def _name(path: Path) -> str:
    return path.name


@cache
def _parse(path: Path) -> ParsedDocument:
    return parse_file(path, path.name)


def _report(path: Path) -> Report:
    return REPORTS[path.name.split(".")[1]]


def text_recall(report: Report, parsed: ParsedDocument) -> float:
    """Share of the report's words that the cleaned text has, each as often as there."""
    wanted = Counter(report.words())
    marks = clean(parsed).text.replace("|", " ").replace("#", " ")
    return (wanted & Counter(marks.split())).total() / wanted.total()


def cell_recall(report: Report, parsed: ParsedDocument) -> float:
    """Share of the tables' cells that stand in one Markdown row with the first cell of their row."""
    rows = [line.split("|") for e in parsed.elements if e.kind == "table" for line in e.text.split("\n")]
    found = [{" ".join(cell.split()) for cell in row} for row in rows]
    cells = [(row[0], cell) for row in report.cells() for cell in row]
    return sum(any({first, cell} <= row for row in found) for first, cell in cells) / len(cells)


@pytest.mark.parametrize("path", REPORT_FIXTURES, ids=_name)
def test_the_text_comes_back(path):
    parsed = _parse(path)
    assert text_recall(_report(path), parsed) >= MIN_TEXT_RECALL


@pytest.mark.parametrize("path", REPORT_FIXTURES, ids=_name)
def test_what_the_table_of_formats_promises_is_true(path):
    parser = PARSERS[choose_parser(path.read_bytes()[:65536], path.name)]
    report, parsed = _report(path), _parse(path)
    features = set()
    headings = {(e.text.strip(), e.level) for e in parsed.elements if e.kind == "heading"}
    titles = {section.title for section in report.sections}
    if titles <= {text for text, _ in headings}:
        features.add("headings")
    if any(e.kind == "table" for e in parsed.elements) and cell_recall(report, parsed) >= MIN_CELL_RECALL:
        features.add("tables")
    if parsed.elements[0].page == 1:
        features.add("pages")
    meta = parsed.metadata
    found = meta.authored_at.date() if meta.authored_at else None
    if (meta.title, meta.author, found) == (report.title, report.author, report.authored_at.date()):
        features.add("metadata")
    assert features == set(parser.features)


def _features(parsed: ParsedDocument) -> set[str]:
    """What a document shows of the features, whatever it was made from."""
    kinds = {element.kind for element in parsed.elements}
    meta = parsed.metadata
    shown = {
        "headings": "heading" in kinds,
        "tables": "table" in kinds,
        "pages": bool(parsed.scans) or parsed.elements[0].page == 1,
        "metadata": bool(meta.title or meta.author or meta.authored_at),
    }
    return {name for name, is_shown in shown.items() if is_shown}


def _of_parser(parser: str) -> list[ParsedDocument]:
    return [parsed for parsed in map(_parse, FIXTURES) if parsed.parser == parser]


@pytest.mark.parametrize("parser", sorted(set(PARSERS) - {"archive"}))  # it holds documents, is none
def test_each_feature_of_a_parser_is_shown_by_a_fixture_and_no_fixture_shows_another(parser):
    documents = _of_parser(parser)
    assert documents, "no fixture"
    shown = set().union(*map(_features, documents))
    assert {name for name in shown if (parser, name) not in PARTLY} == set(PARSERS[parser].features)


@pytest.mark.parametrize("suffix", CELLS_PROMISED)
@pytest.mark.parametrize("language", REPORTS)
def test_the_cells_of_tables_come_back_with_their_rows(language, suffix):
    path = HERE / "fixtures" / f"report.{language}.{suffix}"
    assert cell_recall(REPORTS[language], _parse(path)) >= MIN_CELL_RECALL


@pytest.mark.parametrize("path", FIXTURES, ids=_name)
def test_no_fixture_is_empty(path):
    parsed = _parse(path)
    assert parsed.scans or clean(parsed).text.strip()


@pytest.mark.parametrize("path", FIXTURES, ids=_name)
def test_the_golden_output_is_the_same(path):
    golden = HERE / "golden" / f"{path.name}.json"
    text = json.dumps(asdict(_parse(path)), ensure_ascii=False, indent=1, default=str) + "\n"
    if UPDATE:
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", BUILDERS)
def test_the_builders_still_make_the_fixtures(name, tmp_path, monkeypatch):
    """By what is read from them: another zlib packs the same text into other bytes."""
    builder = importlib.import_module(f"tests.formats.build_{name}")
    monkeypatch.setattr(builder, "FIXTURES", tmp_path)
    builder.main()
    built = sorted(tmp_path.iterdir())
    assert built
    for path in built:
        assert parse_file(path, path.name) == _parse(HERE / "fixtures" / path.name), path.name


def test_no_golden_output_is_left_without_its_fixture():
    assert {path.name.removesuffix(".json") for path in (HERE / "golden").iterdir()} == set(
        map(_name, FIXTURES)
    )
