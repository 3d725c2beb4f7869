"""The thorough rung through unstructured: offline, quiet, and without its labels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.document import Element
from tasks.parsing import unstructured_rung
from tests.formats.build_text import FIXTURES
from tests.formats.source import REPORTS
from tests.formats.test_formats import cell_recall, text_recall

ROOT = Path(__file__).resolve().parents[2]


def parse(name: str):
    return getattr(unstructured_rung, f"parse_{name.rpartition('.')[2]}")((FIXTURES / name).read_bytes())


@pytest.mark.parametrize("suffix", ["docx", "pptx", "html"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_text_and_tables_come_back(suffix: str, language: str) -> None:
    parsed = parse(f"report.{language}.{suffix}")
    assert text_recall(REPORTS[language], parsed) >= 0.98
    assert cell_recall(REPORTS[language], parsed) >= 0.95


@pytest.mark.parametrize("suffix", ["docx", "pptx", "html"])
def test_no_logic_rests_on_titles(suffix: str) -> None:
    assert {e.kind for e in parse(f"report.ko.{suffix}").elements} <= {"text", "list_item", "table"}


def test_slides_are_pages_and_the_pages_of_a_docx_are_not_guessed() -> None:
    assert {e.page for e in parse("report.en.pptx").elements} == {1, 2, 3, 4, 5}
    assert {e.page for e in parse("report.en.docx").elements} == {None}


def test_the_packages_own_metadata_is_kept() -> None:
    assert parse("report.ko.docx").metadata.author == REPORTS["ko"].author


def test_html_keeps_tables_apart_from_text() -> None:
    parsed = unstructured_rung.parse_html(
        "<p>본문이다.</p><table><tr><td>a</td><td>b</td></tr></table>".encode()
    )
    assert parsed.elements == (Element("본문이다."), Element("| a | b |\n| --- | --- |", "table"))


def test_nothing_is_reported_or_downloaded() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k):\n    print('network'); raise OSError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from pathlib import Path\n"
        "from tasks.parsing import unstructured_rung as rung\n"
        "for kind in ('docx', 'pptx', 'html'):\n"
        "    data = Path(f'tests/formats/fixtures/report.ko.{kind}').read_bytes()\n"
        "    print(kind, len(rung.partition_elements(data, kind).elements) > 10)\n"
        "print([name for name in ('spacy', 'torch', 'nltk') if name in sys.modules])\n"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:4] == ["docx True", "pptx True", "html True", "[]"]
    assert done.stderr == ""
