"""Archives and mails: files that hold other files."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.source import ListingProblem, Stat

MEMBER_ETAG = "sha256:"
"""What the etag of a member begins with; its content's hash in hex follows."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a container.

    Attributes:
        name: path inside the container, POSIX, NFC, never leading out of it.
        size: unpacked, in bytes.
        sha256: of its content.
    """

    name: str
    size: int
    sha256: bytes

    @property
    def stat(self) -> Stat:
        """What a listing says of it; equal stats mean equal bytes."""
        return Stat(self.size, etag=MEMBER_ETAG + self.sha256.hex())


@dataclass(frozen=True, slots=True)
class Refused:
    """A member that was not taken, or the container itself where `name` is ""."""

    name: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What is inside a container, containers inside it included.

    Member number i was written to the file ``i`` of the folder it was unpacked to.
    """

    members: tuple[Member, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """What is remembered of a container: its stat tells whether that still holds.

    `fingerprint` is of the rules it was unpacked by; `is_document` of a mail, not of an archive.
    """

    stat: Stat | None
    fingerprint: bytes
    inside: Unpacked
    is_document: bool


def problems_of(uri: str, container: Container) -> tuple[ListingProblem, ...]:
    """What of a container could not be listed; nothing that lies under it is deleted then.

    What is wrong with a whole mail's attachments stands beside the mail, which is a document itself.
    """
    own = f"{uri}/attachments" if container.is_document else uri
    return tuple(
        ListingProblem(
            f"{uri}/{refused.name}" if refused.name else own,
            refused.message,
            error=refused.error,
            blocks=None if refused.name else uri,
        )
        for refused in container.inside.refused
    )
