"""Chunks of real documents, cut as a run cuts them."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from schemas.settings import Settings

_SUFFIXES = {".md", ".rst", ".txt"}
_LEAST_BYTES, _MOST_BYTES = 2_000, 60_000


def find_documents(count: int) -> list[Path]:
    """Readable texts of this repository and of installed packages: READMEs, licences, manuals; the same order.

    Each text once: licences are installed many times over.
    """
    seen: set[bytes] = set()
    found: list[Path] = []
    for path in _candidates():
        raw = path.read_bytes()
        if len(found) == count:
            break
        if _LEAST_BYTES <= len(raw) <= _MOST_BYTES and raw not in seen and _is_text(raw):
            seen.add(raw)
            found.append(path)
    return found


def copy_documents(folder: Path, count: int) -> int:
    """Put so many documents into a folder under numbered names; returns how many there were."""
    paths = find_documents(count)
    for number, path in enumerate(paths):
        (folder / f"{number:04}{path.suffix}").write_bytes(path.read_bytes())
    return len(paths)


def _candidates() -> Iterator[Path]:
    root = Path(__file__).parents[1]
    yield from sorted((root / "samples" / "documents").rglob("*.*"))
    yield from sorted((root / "docs").rglob("*.md"))
    site = Path(sysconfig.get_paths()["purelib"])
    yield from sorted(path for path in site.rglob("*.*") if path.suffix in _SUFFIXES and path.is_file())


def _is_text(raw: bytes) -> bool:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return False
    return sum(character.isalpha() for character in text) > 0.6 * len(text)


def has_module(name: str) -> bool:
    """Whether a module can be imported here."""
    return importlib.util.find_spec(name) is not None


def bench_settings(home: Path, url: str) -> Settings:
    """Settings that show every document: a corpus of licences is full of near duplicates."""
    return Settings(
        home=home,
        database_url=url,  # type: ignore[arg-type]
        collections={"bench": {"duplicates": {"policy": "off"}}},  # type: ignore[dict-item]
    )
