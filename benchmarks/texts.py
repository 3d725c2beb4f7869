"""Chunks of real documents, cut as a run cuts them."""

from __future__ import annotations

import importlib.util
import sysconfig
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
_LEAST_BYTES, _MOST_BYTES = 500, 20_000


def find_documents(count: int) -> list[str]:
    """READMEs of installed packages (the descriptions in their metadata), in order of the packages' names."""
    site = Path(sysconfig.get_paths()["purelib"])
    found: list[str] = []
    for path in sorted(site.glob("*.dist-info/METADATA")):
        _, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        if len(found) < count and _LEAST_BYTES <= len(text.encode()) <= _MOST_BYTES:
            found.append(text)
    return found


def write_documents(folder: Path, count: int, *, ending: str = "md") -> None:
    """Put so many documents into a folder, or as many as there are; `ending` says what they are parsed as."""
    for number, text in enumerate(find_documents(count)):
        (folder / f"{number:04}.{ending}").write_text(text, encoding="utf-8")


def chunk_documents(count: int) -> list[list[str]]:
    """The chunks of so many documents as a run cuts them for the default model, by document."""
    with ExitStack() as stack:
        folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
        url = stack.enter_context(fresh_database())
        write_documents(folder, count)
        settings = bench_settings(home, url)
        session = stack.enter_context(open_session(settings, load_embedder=lambda *_: StubEmbedder()))
        ingest_location(session, stack.enter_context(plain_steps()), str(folder), "bench")
        with session.db.connection() as connection:
            return [texts for (texts,) in connection.execute(_CHUNKS)]


def has_module(name: str) -> bool:
    """Whether a module can be imported here."""
    return importlib.util.find_spec(name) is not None


def bench_settings(home: Path, url: str) -> Settings:
    """Settings that show every document, also near duplicates."""
    return Settings(
        home=home,
        database_url=url,  # type: ignore[arg-type]
        collections={"bench": {"duplicates": {"policy": "off"}}},  # type: ignore[dict-item]
    )
