"""The one way to call a parser."""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.document import Element
from schemas.errors import ConfigurationError, DocumentError, EmptyDocument, FetchFailed, ParseFailed
from tasks.parsing import base, markdown
from tests.unit.parsing_inputs import docx, lines, paragraph, pdf

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("unstructured", "pypdfium2", "pypdf", "lxml", "markdown_it", "yaml", "charset_normalizer", "pandas")


def parse(tmp_path: Path, data: bytes, uri: str = "a.txt") -> list[Element]:
    path = tmp_path / "content"
    path.write_bytes(data)
    return list(base.parse_file(path, uri).elements)


def test_importing_the_parsers_imports_no_library() -> None:
    code = (
        "import sys, tasks.parsing.worker, tasks.parsing.base as b; [b.parser_version(n) for n in b.PARSERS];"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("data", "parser"),
    [
        (b"words", "text"),
        (pdf(lines("words")), "pdf"),
        (docx(paragraph("words")), "docx"),
        (b"<html><p>words</p></html>", "html"),
    ],
)
def test_content_beats_a_wrong_name(tmp_path: Path, data: bytes, parser: str) -> None:
    path = tmp_path / "content"
    path.write_bytes(data)
    parsed = base.parse_file(path, "a.png")
    assert parsed.parser == parser
    assert [e.text for e in parsed.elements] == ["words"]


def test_the_result_depends_on_the_bytes_and_not_on_the_path(tmp_path: Path) -> None:
    one, other = tmp_path / "one.md", tmp_path / "other"
    for path in (one, other):
        path.write_bytes(b"# A\n\nb")
    assert base.parse_file(one, "x/2026-01-01/one.md") == base.parse_file(other, "other.md")


@pytest.mark.parametrize("data", [b"", b" \n\t ", "\ufeff".encode()])
def test_a_file_without_text_is_empty(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(EmptyDocument):
        parse(tmp_path, data)


def test_a_missing_file_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="No such file"):
        base.parse_file(tmp_path / "none", "none")


def test_what_a_parser_raises_is_told_without_the_documents_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: bytes) -> None:
        raise ValueError("secret words")

    monkeypatch.setattr(base, "_load", lambda function: fail)
    with pytest.raises(ParseFailed, match="text parser failed with ValueError") as caught:
        parse(tmp_path, b"secret words")
    assert "secret" not in str(caught.value)


def test_a_missing_library_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    markdown._reader.cache_clear()  # as in a new process
    with pytest.raises(ConfigurationError, match="markdown_it"):
        parse(tmp_path, b"# A", "a.md")


def test_versions_name_what_results_depend_on() -> None:
    versions = {name: base.parser_version(name) for name in base.PARSERS}
    assert versions["pdf"].startswith("pdf ")
    assert "pypdfium2 " in versions["pdf"]
    assert len(set(versions.values())) == len(versions)


SAMPLES = sorted(path for path in (ROOT / "samples" / "documents").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_parsed_or_refused_with_advice(path: Path) -> None:
    uri = path.relative_to(ROOT / "samples" / "documents").as_posix()
    try:
        parsed = base.parse_file(path, uri)
    except DocumentError as error:
        assert uri.startswith(("broken/", "archive/"))  # an archive's files are documents, it is none
        assert error.advice
    else:
        assert not uri.startswith("broken/")
        assert sum(len(element.text) for element in parsed.elements) > 200


@pytest.mark.parametrize("text", ["[" * 400_000, "( )\n\n" * 9000, "." * 10_000 + "a"])
def test_a_long_text_of_punctuation_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(EmptyDocument, match="punctuation"):
        parse(tmp_path, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "." * 9_000 + "a",
        "가. " + "." * 90 + "\n\n나. " * 9000,
        "| " * 50_000 + "a",
        "— " * 8000 + "word " * 90,
    ],
)
def test_a_text_with_words_between_its_marks_is_taken(tmp_path: Path, text: str) -> None:
    assert parse(tmp_path, text.encode())
