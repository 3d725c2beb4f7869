"""What stands in the registry after a kill, read by plain SQL and through search."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg.rows import TupleRow

from registry.blobs import BlobStore
from registry.check import check_fully
from registry.collections import get_collection
from registry.search import search_collection
from tests.acceptance.crash.operations import COLLECTION
from tests.world import World

SHOWN = (
    "SELECT p.uri, string_agg(c.text, ' ' ORDER BY p.ordinal) FROM revector.current_places p "
    "JOIN revector.chunk c ON c.id = p.chunk_id JOIN revector.visible s ON s.chunk_id = c.id GROUP BY p.uri"
)
_HASH = "encode(sha256(convert_to(c.text, 'UTF8')), 'hex')"

State = dict[str, str]


def squeeze(state: State) -> State:
    """Without white space: chunks do not keep what stands between them."""
    return {uri: "".join(text.split()) for uri, text in state.items()}


@dataclass
class Observed:
    """One look at a collection.

    Attributes:
        shown: uri -> text put together from visible chunks, without white space.
        found: (uri, chunk text) of every hit of a search for everything.
        placed: (uri, chunk text) as the tables have it.
        releases: number -> (digest, how much of it is missing).
        vectors: hashes of the texts that have a vector.
        blobs: sha256 of active versions whose raw bytes are missing or wrong.
        run_states: of all runs.
        released: states of the runs that a release came of.
        staged: rows that runs have staged.
        unused: raw files that no version has, and chunks that are in none.
        problems: what `revector check` finds.
    """

    shown: State
    found: set[tuple[str, str]]
    placed: set[tuple[str, str]]
    releases: dict[int, tuple[bytes, int]]
    vectors: set[str]
    blobs: list[str]
    run_states: list[str]
    released: set[str]
    staged: int
    unused: tuple[int, int]
    problems: list[Any]


def observe(world: World) -> Observed:
    """Look at everything."""
    collection = get_collection(world.session.db, COLLECTION)
    with world.session.db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        def rows(query: str) -> list[TupleRow]:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

        shown = dict(rows(SHOWN))
        placed = set(rows("SELECT p.uri, c.text FROM current_places p JOIN chunk c ON c.id = p.chunk_id"))
        space = collection.active_space_id
        vectors = rows(f"SELECT {_HASH} FROM chunk c JOIN vectors_{space} v ON v.chunk_id = c.id")
        contents = rows(
            "SELECT DISTINCT v.content_sha256 FROM activation a JOIN document_version v "
            "ON v.id = a.version_id WHERE a.to_release IS NULL"
        )
        released = rows(
            "SELECT r.state FROM release JOIN run r ON r.id = release.run_id WHERE r.flow <> 'forget'"
        )
        run_states = [state for (state,) in rows("SELECT state FROM run")]
        staged = rows("SELECT count(*) FROM staged_change")[0][0]
        needed = {bytes(content).hex() for (content,) in rows("SELECT content_sha256 FROM document_version")}
        loose = rows(
            "SELECT count(*) FROM chunk c WHERE NOT EXISTS "
            "(SELECT FROM version_chunk vc WHERE vc.chunk_id = c.id)"
        )[0][0]
    everything = world.embedder.embed_query("items")
    hits = search_collection(world.session.db, collection, k=100_000, vector=everything)
    return Observed(
        shown=squeeze(shown),
        found={(uri, hit.text) for hit in hits for uri in hit.documents if uri in shown},
        placed=placed,
        releases={release.number: (release.digest, release.missing) for release in world.releases()},
        vectors={hash_ for (hash_,) in vectors},
        blobs=_wrong_blobs(world, [bytes(content) for (content,) in contents]),
        run_states=run_states,
        released={state for (state,) in released},
        staged=staged,
        unused=(
            sum(1 for path in _store(world).root.rglob("*") if path.is_file() and path.name not in needed),
            loose,
        ),
        problems=check_fully(world.session.db, collection, _store(world)).problems,
    )


def _wrong_blobs(world: World, contents: list[bytes]) -> list[str]:
    wrong = []
    for content in contents:
        path = _store(world).path(content)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).digest() != content:
            wrong.append(content.hex())
    return wrong


def _store(world: World) -> BlobStore:
    return BlobStore(world.session.settings.home, world.session.db.tenant_id)
