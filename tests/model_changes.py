"""A change of the embedding model in a test: what serves, what is stored, and what is done meanwhile."""

from __future__ import annotations

from contextlib import contextmanager

from flows.searching import search_text
from registry.collections import get_collection, get_space
from registry.purge import list_spaces
from registry.reembedding import count_unembedded
from registry.runs import latest_runs
from tasks.embedding.card import resolve_model
from tests.fake_embedder import FakeEmbedder


def serving_model(world):
    """The name of the model that searches read vectors of."""
    return get_space(world.session.db, get_collection(world.session.db, "default").active_space_id).model


def search(world, text="storks of the lake", **options):
    """The uri of the best hit, by vectors alone."""
    return [hit.uri for hit in search_text(world.session, text, "default", k=1, mode="vector", **options)]


def last_run(world):
    """The last reembed, as it is recorded."""
    collection = get_collection(world.session.db, "default")
    return next(run for run in latest_runs(world.session.db, collection.id) if run["flow"] == "reembed")


def count_stored(world):
    """Vectors in the space that is not active."""
    db, collection = world.session.db, get_collection(world.session.db, "default")
    other = [space for space in list_spaces(db, collection.id) if space.id != collection.active_space_id][-1]
    chunks, missing = count_unembedded(db, collection.id, other.id)
    return chunks - missing


def count_vectors(world):
    """Of each space, oldest first."""
    db, collection = world.session.db, get_collection(world.session.db, "default")
    with db.connection() as connection:
        return [
            connection.execute(
                f"SELECT count(*) FROM vectors_{space.id} WHERE collection_id = {collection.id}"
            ).fetchone()[0]
            for space in list_spaces(db, collection.id)
        ]


def require_untouched(world):
    """Nothing came of a change of `birds`: they are searched as before."""
    assert serving_model(world) == "all-MiniLM-L6-v2"
    assert [release.kind for release in world.releases()] == ["ingest"]
    assert search(world) == ["storks.txt"]
    assert world.ingest().state == "unchanged"


def at_stage(stage, action):
    """Progress that does something once: when the first chunks are embedded, or right before the switch."""
    done = []

    def tell(at, number, total):
        if at == stage and (number or stage == "switch") and not done:
            done.append(at)
            action()

    return tell


@contextmanager
def changed_vectors(world, change):
    """The new model's vectors, changed."""
    card = resolve_model(str(world.model))
    model = FakeEmbedder(name=card.name, revision=card.revision, dim=card.dim)
    plain = model.embed
    model.embed = lambda texts, **options: change(plain(texts, **options))
    world.models.others["better"] = model
    yield
    del world.models.others["better"]


def interrupt(*_, **__):
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def change_a_byte(path):
    """In the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
