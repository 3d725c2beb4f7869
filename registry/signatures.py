"""Store and drop the signatures of texts: what near-duplicates are found by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from registry.connection import Connection
from registry.queries import load
from schemas.duplicate import SIGNATURE_VERSION, Signature

_SQL = load("signatures")


def store_signatures(
    connection: Connection, tenant_id: int, collection_id: int, signatures: Mapping[bytes, Signature]
) -> None:
    """Store those that are not there yet, with their bands; call inside a transaction.

    Args:
        connection: in a transaction that holds the collection.
        tenant_id: whose.
        collection_id: where to.
        signatures: sha256 of the cleaned text -> its signature.
    """
    if not signatures:
        return
    found = signatures.values()
    connection.execute(
        _SQL["store_signatures"],
        {
            "tenant": tenant_id,
            "collection": collection_id,
            "params": SIGNATURE_VERSION,
            "text": list(signatures),
            "kind": [s.kind for s in found],
            "characters": [s.characters for s in found],
            "minhash": [s.minhash for s in found],
            "shingles": [s.shingles for s in found],
            "words": [s.words for s in found],
            "numbers": [s.numbers for s in found],
            "bands": ["{" + ",".join(map(str, s.bands)) + "}" for s in found],
        },
    )


def drop_signatures(connection: Connection, values: dict[str, Any], texts: Sequence[bytes]) -> int:
    """Drop those of these texts that no version has any more; returns how many.

    Args:
        connection: in a transaction that holds the collection.
        values: tenant and collection.
        texts: sha256 of cleaned texts.
    """
    if not texts:
        return 0
    row = connection.execute(_SQL["drop_signatures"], {**values, "texts": list(texts)}).fetchone()
    return int(row[0]) if row else 0
