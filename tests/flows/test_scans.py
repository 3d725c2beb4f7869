"""Pages without text: read by OCR where tesseract is, named where it is not, tried again when it comes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry.connection import Database

FIXTURES = Path(__file__).parents[1] / "formats" / "fixtures"


@pytest.fixture
def tesseract(monkeypatch):
    """Set the version of tesseract that the run finds; OCR itself is a stand-in."""
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:read_any_scan")

    def install(version: str | None) -> None:
        monkeypatch.setattr("tasks.parsing.ocr.tesseract_version", lambda languages: version)

    install("5.3.0 kor+eng")
    return install


@pytest.fixture
def mixed(world):
    """A document with a page of text, a scanned one, and another of text."""
    shutil.copy(FIXTURES / "mixed.en.pdf", world.folder / "mixed.pdf")
    return world


def parsers(db: Database) -> list[str]:
    with db.connection() as connection:
        rows = connection.execute("SELECT parser FROM document_version ORDER BY id").fetchall()
    return [parser for (parser,) in rows]


def test_a_scanned_page_takes_its_place_in_the_document(mixed, tesseract):
    report = mixed.ingest()
    assert (report.documents.added, report.documents.partial) == (1, 0)
    assert [hit.page for hit in mixed.keyword("lynx")] == [2] or mixed.keyword("lynx")[0].page in (1, 2)
    assert parsers(mixed.session.db) == ["pdf by ocr"]
    assert mixed.ingest().state == "unchanged"


def test_without_tesseract_the_rest_is_indexed_and_the_page_is_named(mixed, tesseract):
    tesseract(None)
    report = mixed.ingest()
    assert (report.documents.added, report.documents.rejected, report.documents.partial) == (1, 0, 1)
    (rejection,) = report.rejections
    assert (rejection.uri, rejection.part, rejection.error) == ("mixed.pdf", "page 2", "OcrUnavailable")
    assert "tesseract" in rejection.message
    assert mixed.keyword("lynx") == []
    assert mixed.ingest().state == "unchanged"
    assert mixed.rejections()["mixed.pdf"].part == "page 2"


def test_tesseract_that_comes_later_makes_only_scans_due(mixed, tesseract):
    shutil.copy(FIXTURES / "report.en.pdf", mixed.folder / "plain.pdf")
    shutil.copy(FIXTURES / "scan.en.pdf", mixed.folder / "scan.pdf")
    tesseract(None)
    report = mixed.ingest()
    assert mixed.rejections()["scan.pdf"].error == "OcrUnavailable"
    assert (report.documents.added, report.documents.rejected) == (2, 1)
    tesseract("5.3.0 kor+eng")
    plan = mixed.plan()
    assert (plan.added, plan.changed, plan.unchanged) == (("scan.pdf",), ("mixed.pdf",), 1)
    report = mixed.ingest()
    assert (report.documents.added, report.documents.changed, report.documents.partial) == (1, 1, 0)
    assert mixed.rejections() == {}
    assert parsers(mixed.session.db) == ["pdf by ocr", "pdf", "pdf by ocr", "pdf by ocr"]


def test_tesseract_that_goes_takes_no_scan_out_of_search(mixed, tesseract):
    mixed.ingest()
    tesseract(None)
    assert mixed.plan().is_empty
    assert mixed.keyword("lynx")
    mixed.configure(ocr={"enabled": False})  # that is meant
    assert mixed.plan().changed == ("mixed.pdf",)


def test_a_longer_time_for_a_page_makes_pages_due_that_ran_out_of_it(mixed, tesseract, monkeypatch):
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:hang_in_ocr")
    mixed.configure(ocr={"timeout_s": 1.0})
    assert mixed.ingest().documents.partial == 1
    assert mixed.plan().is_empty
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:read_any_scan")
    mixed.configure(ocr={"timeout_s": 2.0})
    assert mixed.ingest().documents.partial == 0


def test_a_failing_page_goes_and_comes_with_its_version(mixed, tesseract):
    tesseract(None)
    mixed.ingest()
    data = (mixed.folder / "mixed.pdf").read_bytes()
    mixed.write("mixed.pdf", (FIXTURES / "report.en.pdf").read_bytes())
    assert mixed.ingest().documents.partial == 0
    mixed.write("mixed.pdf", data)
    report = mixed.ingest()
    assert (report.documents.changed, report.documents.partial) == (1, 1)
    assert mixed.problems() == []


def test_ocr_can_be_turned_off(mixed, tesseract):
    mixed.configure(ocr={"enabled": False})
    mixed.ingest()
    assert "ocr.enabled" in mixed.rejections()["mixed.pdf"].message


def test_pages_that_were_read_are_not_read_again_for_another_chunking(mixed, tesseract, monkeypatch):
    mixed.ingest()
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:nobody")
    mixed.configure(chunking={"max_tokens": 64})
    assert mixed.ingest().documents.changed == 1


def test_a_change_of_the_languages_reads_scans_again_and_parses_nothing(mixed, tesseract):
    shutil.copy(FIXTURES / "report.en.pdf", mixed.folder / "plain.pdf")
    mixed.ingest()
    mixed.configure(ocr={"page_mode": 4})
    plan = mixed.plan()
    assert (plan.changed, plan.unchanged) == (("mixed.pdf",), 1)
