"""One tree of errors. Each says what happened and what to do next.

``retryable`` tells a scheduler whether the same call may succeed later without a change.
``stage`` names the step of the pipeline for errors that reject one document.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RevectorError(Exception):
    """Root of the tree: `message` says what happened, `advice` what to do next."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, advice: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.advice, self.facts)


def _rebuild(cls: type[RevectorError], message: str, advice: str, facts: dict[str, Any]) -> RevectorError:
    return cls(message, advice=advice, **facts)


# --- configuration and environment: the run does not start -----------------------------


class ConfigurationError(RevectorError):
    """A setting is unknown, missing or contradicts another."""

    exit_code = 2


class SourceNotFound(ConfigurationError):
    """The path or URL given does not exist or cannot be listed."""


class HomeNotWritable(ConfigurationError):
    """The data directory cannot be created or written."""


class OutputNotWritable(ConfigurationError):
    """The folder for an export holds something, or cannot be written."""


class ModelNotAvailable(ConfigurationError):
    """The embedding model is not on this machine and cannot be fetched."""


class SpaceMismatch(ConfigurationError):
    """The configured model is not the one the collection's vectors were made with."""


class SpaceSwitched(SpaceMismatch):
    """The collection was switched to another model while a run or a search worked with the one before."""

    retryable = True


class CollectionNotFound(ConfigurationError):
    """No collection has that name."""


class ReleaseNotFound(ConfigurationError):
    """No release has that number, name or time."""


class ReleaseIncomplete(ConfigurationError):
    """Parts of the release were purged or forgotten: it cannot be shown again."""


class DocumentNotFound(ConfigurationError):
    """The collection knows no such document, or no such version of it."""


class PrototypesNotFound(ConfigurationError):
    """The collection has no such class prototypes."""


class RunNotStaged(ConfigurationError):
    """The run holds nothing that could be activated."""


class PrefectUnavailable(RevectorError):
    """The Prefect server that the environment names does not answer."""

    retryable = True


# --- database ---------------------------------------------------------------------------


class DatabaseError(RevectorError):
    """The database refused or failed."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached or broke the connection."""

    retryable = True


class MigrationError(DatabaseError):
    """The schema in the database is not one this version can work with."""


# --- a run stops -------------------------------------------------------------------------


class RunStopped(RevectorError):
    """A guard or a gate stopped the run; the previous release keeps serving."""

    exit_code = 3


class MassDeletion(RunStopped):
    """The run would retire more documents than the guard allows."""


class GateFailed(RunStopped):
    """The staged release did not pass its quality gate."""


class VectorsMissing(GateFailed):
    """A chunk that a release would show has no vector."""


class RegistryUnsound(RunStopped):
    """The invariant check found problems; nothing is deleted on top of them."""


class SourceUnavailable(RevectorError):
    """The source cannot be listed right now; nothing is taken as deleted."""

    retryable = True


class EventRefused(ConfigurationError):
    """A named document or place cannot be one of the collection's."""


class EventConflict(ConfigurationError):
    """A delivery has the id of an earlier one, and says something else."""


class ForgetIncomplete(RevectorError):
    """Something that mentions a forgotten document is still there."""

    retryable = True


class RunLost(RevectorError):
    """The run lost its connection and was taken for dead by another process."""


class EmbeddingFailed(RevectorError):
    """The model could not embed a batch."""


class EndpointUnavailable(EmbeddingFailed):
    """The endpoint of a model does not answer, or asks for patience, longer than a run waits for it."""

    retryable = True


# --- one document is rejected, the run goes on ---------------------------------------------


class DocumentError(RevectorError):
    """One document cannot be indexed; it becomes a rejection."""

    stage: ClassVar[str] = "parse"


class FetchFailed(DocumentError):
    """The bytes could not be read (permission, I/O, vanished, changed while reading)."""

    stage = "fetch"
    retryable = True


class FileTooLarge(DocumentError):
    """The file is larger than the configured limit."""

    stage = "fetch"


class TextTooLong(DocumentError):
    """The text found in the file is longer than the configured limit."""


class UnsupportedFormat(DocumentError):
    """No parser takes this content."""


class EmptyDocument(DocumentError):
    """The file has no bytes or its parser found no text in it."""


class EncryptedDocument(DocumentError):
    """The file needs a password."""


class OcrUnavailable(DocumentError):
    """A page can only be read by OCR, which is off, or tesseract is not installed."""


class ContainerRefused(DocumentError):
    """An archive or mail is over the limits on depth, count or size, or a name leads out of it."""

    stage = "unpack"


class ParseFailed(DocumentError):
    """The parser raised on this content."""


class ParseTimeout(DocumentError):
    """The parser did not finish in time and was killed."""


class ParseCrashed(DocumentError):
    """The parser process died (signal, memory limit)."""
