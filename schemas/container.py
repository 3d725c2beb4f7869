"""Archives and mails: files that hold other files."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.source import ListingProblem, Stat

ATTACHMENTS = "/attachments"
"""Behind a mail's uri: all it holds, where that could not be listed."""

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
    """A member that was not taken, or the container itself where `name` is "".

    `inside` says that the member is there and is a document, a mail, and what it holds was not taken.
    """

    name: str
    error: str
    message: str
    inside: bool = False


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

    Attributes:
        stat: of the file; None where it is to be looked into again in any case.
        fingerprint: of the rules it was unpacked by.
        inside: what it holds.
        is_document: true of a mail, false of an archive.
        attempts: how often in turn unpacking it hung or crashed; 0 where it ended.
    """

    stat: Stat | None
    fingerprint: bytes
    inside: Unpacked
    is_document: bool
    attempts: int = 0


def problems_of(uri: str, container: Container) -> tuple[ListingProblem, ...]:
    """What of a container could not be listed; nothing that lies under it is deleted then.

    What is wrong with all of a mail's attachments stands beside the mail, which is a document itself.
    An archive that was emptied holds nothing back.
    """
    return tuple(_problem(uri, refused, container.is_document) for refused in container.inside.refused)


def _problem(uri: str, refused: Refused, is_document: bool) -> ListingProblem:
    place = f"{uri}/{refused.name}" if refused.name else uri
    if refused.inside or (is_document and not refused.name):
        return ListingProblem(place + ATTACHMENTS, refused.message, error=refused.error, blocks=place)
    emptied = not refused.name and refused.error == "EmptyDocument"
    return ListingProblem(place, refused.message, error=refused.error, blocks="" if emptied else None)
