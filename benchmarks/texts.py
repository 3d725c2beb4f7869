"""Chunks of real documents, cut as a run cuts them."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import StubEmbedder
from benchmarks.database import fresh_database, fresh_folder
from flows.pipeline import ingest_location
from flows.session import open_session
from schemas.settings import Settings
from tasks.batch import plain_steps

_CHUNKS = """SELECT array_agg(c.text ORDER BY vc.ordinal)
FROM version_chunk vc JOIN chunk c ON c.id = vc.chunk_id
GROUP BY vc.version_id ORDER BY vc.version_id"""
_SUFFIXES = {".md", ".rst", ".txt"}
_LEAST_BYTES, _MOST_BYTES = 500, 8_000


def find_documents(count: int) -> list[Path]:
    """Readable texts of this repository and of installed packages, in the same order: manuals, licences.

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


def chunk_documents(count: int) -> list[list[str]]:
    """The chunks of so many documents as a run cuts them for the default model, by document."""
    with ExitStack() as stack:
        folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
        url = stack.enter_context(fresh_database())
        copy_documents(folder, count)
        settings = bench_settings(home, url)
        session = stack.enter_context(open_session(settings, load_embedder=lambda *_: StubEmbedder()))
        ingest_location(session, stack.enter_context(plain_steps()), str(folder), "bench")
        with session.db.connection() as connection:
            return [texts for (texts,) in connection.execute(_CHUNKS)]


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
