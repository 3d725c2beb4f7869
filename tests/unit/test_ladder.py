"""Where a rung fails the next one has a try; pages without text are read one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.document import ParsedDocument
from schemas.errors import (
    DocumentError,
    EmptyDocument,
    EncryptedDocument,
    OcrUnavailable,
    ParseCrashed,
    ParseFailed,
    ParseTimeout,
)
from tasks.parsing.formats import PARSERS
from tasks.parsing.ladder import TIME_SHARES, OcrPlan, Reading, ReadRequest, page_names, read_documents
from tasks.parsing.worker import ParseLimits, ParserPool

OCR = OcrPlan("kor+eng", 6, 300, timeout_s=1.5, max_pages=4)
OFF = OcrPlan("kor+eng", 6, 300, timeout_s=1.5, max_pages=4, unavailable="Install tesseract.")


@pytest.fixture(scope="module")
def pool():
    with ParserPool(2, ParseLimits(timeout_s=2), parse="tests.unit.ladder_parsers:answer") as pool:
        yield pool


def read(
    pool: ParserPool, uri: str, parser: str = "docx", *, ocr: OcrPlan = OCR, timeout_s: float = 4.0
) -> Reading:
    (reading,) = read_documents(
        pool, [ReadRequest(Path("/nowhere"), uri, parser)], timeout_s=timeout_s, ocr=ocr
    )
    return reading


def texts(reading: Reading) -> list[str]:
    assert isinstance(reading.outcome, ParsedDocument), reading.outcome
    return [element.text for element in reading.outcome.elements]


def error(reading: Reading) -> DocumentError:
    assert isinstance(reading.outcome, DocumentError), reading.outcome
    return reading.outcome


def test_the_first_rung_that_succeeds_is_the_last_one_tried(pool):
    reading = read(pool, "rungs:ok,fail,fail")
    assert texts(reading) == ["rung 0"]
    assert reading.parsed == reading.outcome
    assert not reading.limited


@pytest.mark.parametrize("how", ["fail", "nothing", "crash", "hang"])
def test_a_rung_that_fails_in_any_way_is_followed_by_the_next(pool, how):
    reading = read(pool, f"rungs:{how},ok,ok")
    assert texts(reading) == ["rung 1"]
    assert reading.outcome.metadata.extra == {"read by": "thorough"}
    assert reading.outcome.problems == ()
    assert reading.parsed is None  # not kept: another day the first rung may do
    assert reading.limited == (how in ("crash", "hang"))


def test_plain_text_is_a_problem_of_the_document(pool):
    reading = read(pool, "rungs:fail,nothing,ok")
    (problem,) = reading.outcome.problems
    assert (problem.part, problem.error) == ("structure", "ParseFailed")
    assert "rung 0 is damaged" in problem.message
    assert problem.message.endswith("Repair it.")


def test_a_rejection_says_which_rungs_failed(pool):
    rejected = error(read(pool, "rungs:fail,nothing,fail"))
    assert isinstance(rejected, ParseFailed)
    assert rejected.message == (
        "No rung of the parser could read it (fast: rung 0 is damaged.; thorough: It has no text.; "
        "plain text: rung 2 is damaged.)"
    )
    assert rejected.advice == "Repair it."


def test_a_limit_outweighs_other_failures_for_it_may_be_raised(pool):
    reading = read(pool, "rungs:fail,crash,fail")
    assert isinstance(error(reading), ParseCrashed)
    assert reading.limited


@pytest.mark.parametrize(("parser", "rungs"), [("docx", 3), ("pdf", 2), ("text", 1)])
def test_all_rungs_share_one_time_limit(pool, parser, rungs):
    assert len(PARSERS[parser].rungs) == rungs
    rejected = error(read(pool, "rungs:hang,hang,hang", parser, timeout_s=2.0))
    assert isinstance(rejected, ParseTimeout)
    assert rejected.facts["timeout_s"] == pytest.approx(2.0 * TIME_SHARES[rungs][0])
    assert all(sum(shares) == pytest.approx(1) for shares in TIME_SHARES.values())


def test_a_password_ends_the_ladder(pool):
    assert isinstance(error(read(pool, "rungs:locked,ok,ok")), EncryptedDocument)


def test_scanned_pages_are_put_into_their_places(pool):
    reading = read(pool, "mixed:ok,ok", "pdf")
    assert texts(reading) == ["the text of page 1", "page two", "page three"]
    assert reading.outcome.scans == ()
    assert reading.parsed.scans == (2, 3)
    assert reading.has_scans


def test_pages_that_fail_are_problems_of_a_document_that_is_read_otherwise(pool):
    reading = read(pool, "mixed:ok,fail,fail,hang", "pdf")
    assert texts(reading) == ["the text of page 1", "page two"]
    assert {problem.error for problem in reading.outcome.problems} == {"ParseFailed", "ParseTimeout"}
    assert {problem.part for problem in reading.outcome.problems} == {"page 3", "page 4", "page 5"}
    assert reading.limited


def test_pages_that_fail_alike_are_one_problem(pool):
    reading = read(pool, "mixed:fail,ok,ok", "pdf", ocr=OFF)
    (problem,) = reading.outcome.problems
    assert (problem.part, problem.error, problem.message) == (
        "pages 2-4",
        "OcrUnavailable",
        "Install tesseract.",
    )
    assert not reading.limited


def test_a_document_of_scans_alone_is_rejected_without_tesseract(pool):
    rejected = error(read(pool, "pages:ok,ok", "pdf", ocr=OFF))
    assert isinstance(rejected, OcrUnavailable)
    assert "pages 1-2 could not be read: Install tesseract." in rejected.message


def test_pages_beyond_the_limit_are_named(pool):
    reading = read(pool, "pages:ok,ok,ok,ok,ok,ok", "pdf")
    assert texts(reading) == ["page one", "page two", "page three", "page four"]
    (problem,) = reading.outcome.problems
    assert problem.part == "pages 5-6"
    assert "ocr.max_pages = 4" in problem.message


def test_pages_without_text_make_no_document(pool):
    rejected = error(read(pool, "pages:empty,empty", "pdf"))
    assert isinstance(rejected, EmptyDocument)
    assert "OCR found no text on pages 1-2" in rejected.message


def test_what_was_stored_before_ocr_is_not_parsed_again(pool):
    stored = ParsedDocument("pdf", "application/pdf", (), scans=(1,))
    request = ReadRequest(Path("/nowhere"), "pages:ok", "pdf", stored)
    (reading,) = read_documents(pool, [request], timeout_s=2, ocr=OCR)
    assert texts(reading) == ["page one"]
    assert reading.parsed is None


def test_many_documents_come_back_in_order(pool):
    uris = [f"rungs:{how},ok,ok" for how in ("ok", "fail", "ok", "crash", "ok", "nothing")]
    requests = [ReadRequest(Path("/nowhere"), uri, "docx") for uri in uris]
    found = [texts(reading)[0] for reading in read_documents(pool, requests, timeout_s=4, ocr=OCR)]
    assert found == ["rung 0", "rung 1", "rung 0", "rung 1", "rung 0", "rung 1"]


def test_a_closed_pool_is_told_and_not_waited_for():
    closed = ParserPool(1, parse="tests.unit.ladder_parsers:answer")
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        read(closed, "rungs:ok,ok,ok")


@pytest.mark.parametrize(
    ("pages", "said"), [([1], "page 1"), ([1, 2], "pages 1-2"), ([9, 1, 2, 3, 5], "pages 1-3, 5, 9")]
)
def test_pages_are_named_as_people_do(pages, said):
    assert page_names(pages) == said
