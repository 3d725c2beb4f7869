"""What must hold after a batch of mutants; pure, so that each rule is tested with wrong results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas import errors
from schemas.errors import DocumentError
from schemas.release import Rejection
from tests.acceptance.fuzz.watch import Ask

KILL_LATENCY_S = 3.0
"""From the end of a limit until the process is dead and reaped, on a machine with other work."""

_CLASSES = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, DocumentError)
}
_NOT_LISTED = "NotListed"
"""What a problem of listing is called that is no error of a document."""


@dataclass(frozen=True)
class Seen:
    """What stands after a batch.

    Attributes:
        indexed: uris of active documents with chunks.
        rejections: all that stand.
        archives: uri -> uris of the members, of files that are no documents themselves.
        mails: the same of those that are.
        problems: what `check_collection` finds.
        left_files: below home/unpacked.
        left_processes: parser processes that live on.
        bad_texts: uris whose stored text holds control characters.
    """

    indexed: Sequence[str] = ()
    rejections: Sequence[Rejection] = ()
    archives: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mails: Mapping[str, Sequence[str]] = field(default_factory=dict)
    problems: Sequence[object] = ()
    left_files: Sequence[str] = ()
    left_processes: Sequence[int] = ()
    bad_texts: Sequence[str] = ()


def judge(names: Sequence[str], seen: Seen, asks: Sequence[Ask] = ()) -> list[str]:
    """What is wrong after a batch of files with these names; empty where all is well."""
    return [
        *_accounts(names, seen),
        *_reasons(seen.rejections),
        *_times(asks),
        *(f"check_collection: {problem}" for problem in seen.problems),
        *(f"left unpacked: {path}" for path in seen.left_files),
        *(f"parser process {pid} outlived its run" for pid in seen.left_processes),
        *(f"{uri}: control characters in its text" for uri in seen.bad_texts),
    ]


def _accounts(names: Sequence[str], seen: Seen) -> Iterator[str]:
    """Every file and every member is a document or stands rejected, once."""
    whole = [rejection.uri for rejection in seen.rejections if not rejection.part]
    count = Counter([*seen.indexed, *whole])
    members = [uri for inside in (*seen.archives.values(), *seen.mails.values()) for uri in inside]
    documents = {*names, *members} - set(seen.archives)
    for uri in sorted(documents):
        if count[uri] != 1:
            yield f"{uri}: {'neither indexed nor rejected' if not count[uri] else 'accounted for twice'}"
    for uri, inside in sorted(seen.archives.items()):
        if not inside and not any(told == uri or told.startswith(uri + "/") for told in whole):
            yield f"{uri}: an archive without members and without a reason"
    for uri in sorted(set(count) - documents):
        containers = (*seen.archives, *seen.mails)
        if uri in seen.indexed or not any(f"{uri}/".startswith(name + "/") for name in containers):
            yield f"{uri}: nobody knows where it comes from"


def _reasons(rejections: Sequence[Rejection]) -> Iterator[str]:
    for rejection in rejections:
        # A part is named by what went wrong with it, which may be a codec's or a library's word.
        if rejection.error not in {*_CLASSES, _NOT_LISTED} and not (rejection.part and rejection.error):
            yield f"{rejection.name}: {rejection.error!r} is no class of rejection"
        if not rejection.message.strip():
            yield f"{rejection.name}: rejected without a reason"
        if "met a bug" in rejection.message:
            yield f"{rejection.name}: {rejection.message}"


def _times(asks: Sequence[Ask]) -> Iterator[str]:
    for ask in asks:
        if ask.seconds > ask.limit_s + KILL_LATENCY_S:
            yield f"{ask.uri}: {ask.job} took {ask.seconds:.1f} s, its limit is {ask.limit_s:g} s"
