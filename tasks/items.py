"""Items on their way through a window, and what a kind of collection does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from registry.staging import ParsedRow
from schemas.document import ParsedDocument
from schemas.errors import DocumentError
from schemas.image import ImageFacts
from schemas.source import Stat
from schemas.version import Action, StoredVersion, VersionDraft
from tasks.fetching import Fetched
from tasks.workspace import Workspace

Key = tuple[bytes, str]
"""Content hash and parser's name."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One document to process.

    Attributes:
        uri: its name; `path` is how the source spells it.
        action: added, changed or moved.
        stat: as listed.
        base_version_id: the active version the plan saw.
    """

    uri: str
    path: str
    action: Action
    stat: Stat
    base_version_id: int | None


@dataclass(slots=True)
class DocumentJob:
    """A document on its way.

    Attributes:
        item: what is to be done.
        fetched: its bytes.
        parser: which reads it.
        variant: the parser's name with what else had a part in the result.
        stored: the document's versions.
        outcome: what reading it gave.
    """

    item: WorkItem
    fetched: Fetched
    parser: str
    variant: str
    stored: list[StoredVersion] = field(default_factory=list)
    outcome: ParsedDocument | ImageFacts | DocumentError | None = None

    @property
    def key(self) -> Key:
        """What the outcome depends on."""
        return self.fetched.sha256, self.parser


class Drafting(Protocol):
    """A version that is being made."""

    def done(self) -> bool:
        """Whether `result` need not wait."""
        ...

    def result(self) -> object:
        """A `VersionDraft`, or the `DocumentError` that rejects the document; raises what is wrong here."""
        ...


class Draft(Protocol):
    """See `ItemKind.draft`."""

    def __call__(self, workspace: Workspace, job: DocumentJob, *, many: bool) -> Drafting:
        """Begin."""
        ...


def drafted(result: VersionDraft | DocumentError) -> Drafting:
    """One that was made at once."""
    future: Future[VersionDraft | DocumentError] = Future()
    future.set_result(result)
    return future


class ReadJob(NamedTuple):
    """A job that has its outcome and variant.

    Attributes:
        job: the job.
        rows: results to keep, so that a later run need not read the bytes again.
        is_read: whether the bytes were read for it, now and with success.
    """

    job: DocumentJob
    rows: Sequence[ParsedRow] = ()
    is_read: bool = False


@dataclass(frozen=True, slots=True)
class ItemKind:
    """What a kind of collection does with its items; the rest of a run is the same for all.

    Attributes:
        choose: the parser's name, from the first bytes and the uri; raises DocumentError where there is none.
        variants: the names under which a version read by that parser may be stored, limits left aside.
        read: gives the jobs their outcome and variant, one by one in order; those to come are read meanwhile.
        draft: the version of a job that was read, made now or to come; `many` are worth other processes.
    """

    choose: Callable[[bytes, str], str]
    variants: Callable[[str], tuple[str, ...]]
    read: Callable[[Workspace, Sequence[DocumentJob]], Iterator[ReadJob]]
    draft: Draft
