"""OCR by tesseract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.document import ParsedDocument

OCR_VERSION = 1


@dataclass(frozen=True, slots=True)
class OcrOptions:
    """Options."""

    languages: str = "kor+eng"
    page_mode: int = 6
    dpi: int = 300


def tesseract_version(languages: str) -> str | None:
    """None."""
    return None


def missing_advice(languages: str) -> str:
    """What to install."""
    return "Install tesseract."


def read_page(path: Path, parser: str, page: int, options: OcrOptions) -> ParsedDocument:
    """A page."""
    raise NotImplementedError


def merge_pages(parsed: ParsedDocument, pages: Mapping[int, ParsedDocument]) -> ParsedDocument:
    """All."""
    return parsed
