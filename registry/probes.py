"""What the model of a space made of fixed sets of texts or images when it was first asked for each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from registry.connection import Database
from registry.queries import load
from schemas.errors import DatabaseError

_SQL = load("probes")


class Probe(NamedTuple):
    """Vectors that every later load of the model has to give again.

    Attributes:
        probes: sha256 of what was embedded.
        vectors: (P, D) float32, unit length.
    """

    probes: bytes
    vectors: NDArray[np.float32]


def find_probe(db: Database, space_id: int, probes: bytes) -> Probe | None:
    """The vectors of these texts or images in a space, or in one with the same vectors stored another way.

    Args:
        db: the registry.
        space_id: of the space.
        probes: sha256 of what was embedded.

    Returns:
        Where there are none, the vectors of others; None where nothing was ever embedded.

    Raises:
        DatabaseError: what is stored are no vectors of that space.
    """
    with db.connection() as connection:
        row = connection.execute(_SQL["find_probe"], {"space": space_id, "probes": probes}).fetchone()
    if row is None:
        return None
    of, found, vectors, dim = row
    probe = Probe(bytes(found), _read(of, vectors, dim))
    if of != space_id and probe.probes == probes:  # the other space may go some day
        return keep_probe(db, space_id, probe)
    return probe


def _read(space_id: int, vectors: bytes, dim: int) -> NDArray[np.float32]:
    """(P, dim) float32; of bytes that are something else no comparison would be worth anything."""
    if not vectors or len(vectors) % (4 * dim):
        raise DatabaseError(
            f"The probe of space {space_id} is damaged: {len(vectors)} bytes are no vectors of {dim} "
            "dimensions. Nothing was written.",
            advice="Restore the table space_probe from a backup. Without one, and sure of the model's files: "
            f"DELETE FROM space_probe WHERE space_id = {space_id}; the next run makes it again.",
            space=space_id,
        )
    return np.frombuffer(vectors, dtype="<f4").astype(np.float32).reshape(-1, dim)


def keep_probe(db: Database, space_id: int, probe: Probe) -> Probe:
    """Keep a space's vectors of a set; returns those that are kept, which another process may have made."""
    values = {
        "space": space_id,
        "probes": probe.probes,
        "vectors": np.ascontiguousarray(probe.vectors, dtype="<f4").tobytes(),
    }
    with db.connection() as connection:
        connection.execute(_SQL["keep_probe"], values)
    kept = find_probe(db, space_id, probe.probes)
    assert kept is not None
    return kept
