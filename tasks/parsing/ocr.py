"""Reading a page without text by tesseract, and putting what was read into its document."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument
from schemas.errors import ConfigurationError, ParseCrashed, ParseFailed
from tasks.parsing.ocr_choice import has_unsure, with_latin
from tasks.parsing.ocr_image import prepare
from tasks.parsing.ocr_layout import (
    Word,
    confidence,
    elements_of_words,
    hangul_share,
    words_of,
)

if TYPE_CHECKING:
    from PIL import Image

OCR_VERSION = 1
"""Raised whenever the same page may give another text."""

HOPELESS = 50.0
"""Mean confidence under which the page may lie on its side or stand on its head."""

MIN_HANGUL_SHARE = 0.2
MIN_PAGES = 3
MIN_SHARE = 0.6
_ASK_TIMEOUT_S = 10
_EDGE_LINES = 2
_ROTATE = re.compile(r"^Rotate: (\d+)", re.M)


@dataclass(frozen=True, slots=True)
class OcrOptions:
    """How pages are read.

    Attributes:
        languages: tesseract's codes joined by ``+``.
        page_mode: tesseract's page segmentation mode; 3 can fail wholly on sparse Korean pages.
        dpi: at which PDF pages are rendered, less where the page is huge.
    """

    languages: str = "kor+eng"
    page_mode: int = 6
    dpi: int = 300


@cache
def tesseract_version(languages: str) -> str | None:
    """As in ``5.3.0 kor+eng``; None where tesseract or data of one of the languages is missing."""
    version = re.match(r"tesseract v?(\S+)", _ask("--version"))
    installed = set(_ask("--list-langs").split())
    if not version or not all(part in installed for part in languages.split("+")):
        return None
    return f"{version[1]} {languages}"


def missing_advice(languages: str) -> str:
    """What to install for OCR in the languages."""
    names = [part for part in languages.split("+") if part != "eng"]  # comes with tesseract
    packages = " ".join(["tesseract-ocr", *(f"tesseract-ocr-{name.replace('_', '-')}" for name in names)])
    return f"Run scripts/install-debian.sh, or install {packages}, then ingest again."


def read_page(path: Path, parser: str, page: int, options: OcrOptions) -> ParsedDocument:
    """The text of one page; no elements where it has none.

    It is meant to run in a process that its caller kills after a time limit, tesseract with it.

    Args:
        path: the file.
        parser: ``pdf`` or ``image``.
        page: its number, from 1.
        options: languages and mode.

    Raises:
        ParseFailed: the page cannot be rendered, or tesseract fails on it.
        ConfigurationError: tesseract is not installed.
    """
    image, dpi = _page_image(path, parser, page, options.dpi)
    ready, dpi = prepare(image, dpi)
    ready, words = _read_upright(ready, dpi, options)
    elements = elements_of_words(words, page, height=ready.height, dpi=dpi)
    mime = "application/pdf" if parser == "pdf" else "image"
    return ParsedDocument(parser, mime, elements)


def _page_image(path: Path, parser: str, page: int, dpi: int) -> tuple[Image.Image, int]:
    if parser == "pdf":
        from tasks.parsing.pdf import render_page

        return render_page(path.read_bytes(), page, dpi)
    from tasks.parsing.image import read_frame

    return read_frame(path.read_bytes(), page)


def _read_upright(image: Image.Image, dpi: int, options: OcrOptions) -> tuple[Image.Image, list[Word]]:
    """The image as it is best read, and its words; it is turned only where hardly a word is sure."""
    words = _words(image, dpi, options, options.languages)
    before = confidence(words)
    angle = _orientation(image, dpi) if words and before < HOPELESS else 0
    if angle:
        turned, _ = prepare(image.rotate(-angle, expand=True), dpi)
        again = _words(turned, dpi, options, options.languages)
        if confidence(again) > before:
            image, words = turned, again
    return image, _with_korean(words, image, dpi, options)


def _orientation(image: Image.Image, dpi: int) -> int:
    """Degrees by which the page must be turned clockwise, 0 where tesseract cannot tell."""
    try:
        answer = _tesseract(image, dpi, ("--psm", "0", "-l", "osd"))
    except ParseFailed:  # too few letters, or no data for orientation
        return 0
    found = _ROTATE.search(answer)
    return int(found[1]) % 360 if found else 0


def _with_korean(words: list[Word], image: Image.Image, dpi: int, options: OcrOptions) -> list[Word]:
    """The words; a Korean page is read once more with Korean alone.

    With English beside it tesseract takes Korean words for Latin ones ("CHAS" for three
    syllables): Korean alone reads 0.98 of the characters right instead of 0.93. Where it is
    unsure, the word may be Latin: then the other languages have a try, without Korean.
    """
    parts = options.languages.split("+")
    if "kor" not in parts or len(parts) < 2 or hangul_share(words) < MIN_HANGUL_SHARE:
        return words
    korean = with_latin(_words(image, dpi, options, "kor"), words)
    if not has_unsure(korean):
        return korean
    others = "+".join(part for part in parts if part != "kor")
    return with_latin(korean, _words(image, dpi, options, others))


def _words(image: Image.Image, dpi: int, options: OcrOptions, languages: str) -> list[Word]:
    mode = str(options.page_mode)
    return words_of(_tesseract(image, dpi, ("--psm", mode, "-l", languages, "tsv", "txt")))


def _tesseract(image: Image.Image, dpi: int, arguments: tuple[str, ...]) -> str:
    """What tesseract writes about the image; its own messages may quote the page and are dropped."""
    picture = io.BytesIO()
    image.save(picture, "PPM")
    command = ["tesseract", "stdin", "stdout", "--dpi", str(dpi), *arguments]
    one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # with more a page took 73 s instead of 1
    try:
        done = subprocess.run(
            command, input=picture.getvalue(), capture_output=True, env=one_thread, check=False
        )
    except FileNotFoundError as exc:
        raise ConfigurationError(
            "tesseract is not installed.", advice="Run scripts/install-debian.sh."
        ) from exc
    if done.returncode < 0:  # killed, for want of memory as a rule: another day it may do
        raise ParseCrashed(
            f"tesseract was ended by signal {-done.returncode}.",
            advice="Lower limits.parse_workers, or give the machine more memory.",
            code=done.returncode,
        )
    if done.returncode:
        raise ParseFailed(
            f"tesseract failed with code {done.returncode}.",
            advice="Scan the page again, or exclude the file.",
            code=done.returncode,
        )
    return done.stdout.decode("utf-8", "replace")


def _ask(question: str) -> str:
    try:
        done = subprocess.run(
            ["tesseract", question], capture_output=True, timeout=_ASK_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        return ""
    except (
        OSError,
        subprocess.SubprocessError,
    ) as exc:  # not the same as absent: scans would leave the index
        raise ConfigurationError(
            f"tesseract is installed, but does not answer ({type(exc).__name__}).",
            advice="Run again when the machine is less busy, or set ocr.enabled = false.",
        ) from exc
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").lstrip()


# --- into the document -------------------------------------------------------------------


def merge_pages(parsed: ParsedDocument, pages: Mapping[int, ParsedDocument]) -> ParsedDocument:
    """The document with what OCR read in its place, without scans.

    What a scanned page had as text (a stamp, a page number) gives way where OCR found more:
    it read that, too. Lines that repeat at the edges of most scanned pages are left out.
    """
    running = _running(pages)
    native = Counter[int | None]()
    for element in parsed.elements:
        native[element.page] += len(element.text)
    elements = list(parsed.elements)
    for number, page in pages.items():
        if sum(len(element.text) for element in page.elements) >= native[number]:
            elements = [element for element in elements if element.page != number]
            elements += _without_running(page.elements, running)
    elements.sort(key=lambda element: element.page or 0)
    problems = (*parsed.problems, *(p for page in pages.values() for p in page.problems))
    return replace(parsed, elements=tuple(elements), scans=(), problems=problems)


def _running(pages: Mapping[int, ParsedDocument]) -> frozenset[str]:
    """Lines, as `_key` sees them, at the edges of at least three and of most of the pages."""
    counts: Counter[str] = Counter()
    for page in pages.values():
        lines = [line for element in page.elements for line in element.text.split("\n")]
        counts.update({_key(line) for line in (*lines[:_EDGE_LINES], *lines[-_EDGE_LINES:])})
    least = max(MIN_PAGES, MIN_SHARE * len(pages))
    return frozenset(key for key, count in counts.items() if count >= least and key)


def _key(line: str) -> str:
    """Letters, with one sign for any number: OCR reads spaces and dashes differently each time."""
    return re.sub(r"\d+", "#", "".join(char for char in line.casefold() if char.isalnum()))


def _without_running(elements: tuple[Element, ...], running: frozenset[str]) -> Iterator[Element]:
    """The page's elements without running lines among its first and last ones."""
    lines = [[*element.text.split("\n")] for element in elements]
    places = [(i, j) for i, part in enumerate(lines) for j in range(len(part))]
    edges = {*places[:_EDGE_LINES], *places[-_EDGE_LINES:]}
    for i, (element, part) in enumerate(zip(elements, lines, strict=True)):
        kept = [line for j, line in enumerate(part) if (i, j) not in edges or _key(line) not in running]
        if kept:
            yield replace(element, text="\n".join(kept))
