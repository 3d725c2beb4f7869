"""What is remembered of archives and mails: what they held when planning last looked inside."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

from registry.connection import Database
from registry.queries import load
from schemas.container import Container, Member, Refused, Unpacked
from schemas.source import Stat

_SQL = load("containers")


def container_uris(db: Database, source_id: int) -> set[str]:
    """Uris of all containers of a source."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["container_uris"], {"tenant": db.tenant_id, "source": source_id}
        ).fetchall()
    return {uri for (uri,) in rows}


def known_containers(
    db: Database, source_id: int, *, uris: Sequence[str] | None = None
) -> dict[str, Container]:
    """Uri -> container of a source, or only of these uris; one without a stat is to be looked into again."""
    values = {"tenant": db.tenant_id, "source": source_id, "uris": uris}
    with db.connection() as connection:
        rows = connection.execute(_SQL["known_containers"], values, binary=True).fetchall()
    return {
        uri: Container(
            None if size is None else Stat(size, *stat), fingerprint, _load(inside), is_document, attempts
        )
        for uri, size, *stat, fingerprint, inside, is_document, attempts in rows
    }


def remember_containers(
    db: Database, collection_id: int, source_id: int, containers: Mapping[str, Container]
) -> None:
    """Store what was found inside."""
    values = [
        {
            "tenant": db.tenant_id,
            "collection": collection_id,
            "source": source_id,
            "uri": uri,
            **(container.stat._asdict() if container.stat else dict.fromkeys(Stat._fields)),
            "fingerprint": container.fingerprint,
            "inside": _dump(container.inside),
            "is_document": container.is_document,
            "attempts": container.attempts,
        }
        for uri, container in containers.items()
    ]
    if values:
        with db.transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(_SQL["remember_container"], values)


def drop_containers(db: Database, source_id: int, uris: Sequence[str]) -> None:
    """Forget containers that are gone."""
    if uris:
        with db.connection() as connection:
            connection.execute(
                _SQL["drop_containers"], {"tenant": db.tenant_id, "source": source_id, "uris": list(uris)}
            )


def _dump(inside: Unpacked) -> bytes:
    members = [(member.name, member.size, member.sha256.hex()) for member in inside.members]
    refused = [(refused.name, refused.error, refused.message, refused.inside) for refused in inside.refused]
    return zlib.compress(json.dumps([members, refused], ensure_ascii=False).encode(), 1)


def _load(data: bytes) -> Unpacked:
    members, refused = json.loads(zlib.decompress(data))
    return Unpacked(
        tuple(Member(name, size, bytes.fromhex(sha256)) for name, size, sha256 in members),
        tuple(Refused(*fields) for fields in refused),
    )
