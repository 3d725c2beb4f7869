"""A collection made by the pipeline itself: files on disk, blobs, versions, releases, an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import StubEmbedder, make_text, write_files
from benchmarks.database import connect_owner, fresh_database, fresh_folder
from flows.pipeline import ingest_location
from flows.session import LoadEmbedder, Session, open_session
from registry.collections import get_collection
from schemas.release import Collection
from schemas.report import RunReport
from schemas.settings import CollectionSettings, RetentionSettings, Settings
from tasks.batch import plain_steps

NAME = "bench"
CHARACTERS = 2_300
"""A document then has about 14 chunks."""
_KEEP_NOTHING = RetentionSettings(keep_versions=0, keep_days=0, grace_hours=0)


@dataclass(frozen=True, slots=True)
class Library:
    """A folder of documents and the collection that shows them."""

    session: Session
    folder: Path
    url: str

    @property
    def collection(self) -> Collection:
        """The collection as it is now."""
        return get_collection(self.session.db, NAME)

    def files(self) -> list[Path]:
        """The documents that are there, in order."""
        return sorted(self.folder.rglob("*.txt"))

    def rewrite(self, files: Sequence[Path], seed: int) -> None:
        """Give each file another text of the same length, of which no chunk is known."""
        for number, path in enumerate(files):
            # an even seed: what is English-like stays so
            path.write_text(make_text(CHARACTERS, 2 * seed * 10**6 + number), encoding="utf-8")

    def ingest(
        self, *, load_embedder: LoadEmbedder | None = None, allow_deletions: bool = False
    ) -> RunReport:
        """Bring the collection up to date; with the stub model unless told otherwise."""
        session = replace(self.session, load_embedder=load_embedder) if load_embedder else self.session
        with plain_steps() as steps:
            return ingest_location(session, steps, str(self.folder), NAME, allow_deletions=allow_deletions)

    def count_chunks(self) -> int:
        """Chunks that the current release shows."""
        with connect_owner(self.url) as owner:
            row = owner.execute("SELECT count(*) FROM visible").fetchone()
        return int(row[0]) if row else 0

    def sample_vectors(self, count: int) -> NDArray[np.float32]:
        """(count, D) stored vectors, the same ones each time."""
        space = self.collection.active_space_id
        query = f"SELECT embedding::float4[] FROM vectors_{space} ORDER BY hashint8(chunk_id) LIMIT {count}"
        with connect_owner(self.url) as owner:
            return np.array([row[0] for row in owner.execute(query)], dtype=np.float32)


@contextmanager
def open_library(documents: int) -> Iterator[Library]:
    """A library of so many documents, not ingested yet; retention keeps nothing of the past."""
    with ExitStack() as stack:
        folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
        url = stack.enter_context(fresh_database())
        write_files(folder, documents, CHARACTERS)
        settings = Settings(
            home=home,
            database_url=url,  # type: ignore[arg-type]
            collections={NAME: CollectionSettings(retention=_KEEP_NOTHING)},
        )
        session = stack.enter_context(open_session(settings, load_embedder=lambda *_: StubEmbedder()))
        yield Library(session, folder, url)
