"""Look into the archives and mails of a source: what they hold is listed like any other file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

from registry.containers import container_uris, known_containers
from schemas.container import Container, Refused, Unpacked, problems_of
from schemas.errors import DocumentError, EmptyDocument, FetchFailed, ParseCrashed, ParseTimeout
from schemas.plan import Known
from schemas.source import Listing, ListingProblem, Stat, is_under
from tasks.changes import is_racy
from tasks.parsing.base import choose_parser
from tasks.parsing.sniff import HEAD_BYTES, SNIFF_VERSION
from tasks.parsing.unpack import CONTAINERS, UNPACK_VERSION
from tasks.pipeline_fingerprint import base_parser, hash_facts
from tasks.sources.base import is_remote
from tasks.sources.filesystem import MAX_URI_CHARACTERS
from tasks.sources.members import member_path
from tasks.sources.patterns import Match, compile_patterns
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

PEEK_THREADS = 8
OPEN_THREADS = 8
REMOTE_SUFFIXES = frozenset(".zip .tar .gz .tgz .bz2 .tbz2 .xz .txz .eml .msg".split())
"""On a remote source a look at a file's head is a request: only names that promise a container get one."""

TOO_LONG = "the path of a file in the archive is too long; it is not taken"
BESIDE = "a file beside the archive has the name of one inside, which is not taken"


@dataclass(frozen=True, slots=True)
class Opened:
    """A listing with what is inside its containers.

    Attributes:
        listing: an archive's files stand in its place, a mail's attachments beside it.
        looked_into: by uri, containers that were opened now: to be remembered.
        gone: uris of containers to be forgotten.
    """

    listing: Listing
    looked_into: dict[str, Container]
    gone: tuple[str, ...]


def open_containers(
    workspace: Workspace, listing: Listing, known: Mapping[str, Known], rejected: Mapping[str, Known]
) -> Opened:
    """The listing with what its containers hold; only new and changed files are read.

    Args:
        workspace: the run's surroundings.
        listing: what the source lists.
        known: by uri, active documents.
        rejected: by uri, what stands rejected or is held back.
    """
    source_id = workspace.scope.source.id
    remembered = _remembered(workspace, source_id) if source_id is not None else {}
    fingerprint = unpack_fingerprint(workspace)
    most = workspace.settings.limits.parse_attempts
    current = {
        uri: container
        for uri, container in remembered.items()
        if container.stat is not None
        and container.stat == listing.items.get(uri)
        and container.fingerprint == fingerprint
        and not 0 < container.attempts < most
    }
    found = _find_containers(workspace, listing, current, remembered, known, rejected)
    with ThreadPoolExecutor(OPEN_THREADS) as threads:  # the work is done by the parser processes
        opened = threads.map(
            lambda item: _look_inside(workspace, listing, item[0], item[1], remembered.get(item[0])), found
        )
        fresh = {
            uri: replace(container, fingerprint=fingerprint)
            for (uri, _), container in zip(found, opened, strict=True)
        }
    blocked = frozenset(problem.blocked for problem in listing.problems)
    gone = tuple(
        uri
        for uri in remembered
        if uri not in current
        and uri not in fresh
        and workspace.scope.covers(uri)
        and not is_under(uri, blocked)
    )
    if not current and not fresh:
        return Opened(listing, {}, gone)
    if fresh:
        log.info("looked into %d archives and mails", len(fresh))
    return Opened(_expand(workspace, listing, current | fresh), fresh, gone)


def _remembered(workspace: Workspace, source_id: int) -> dict[str, Container]:
    """By uri, what was found in containers of the scope."""
    if workspace.scope.names is None:
        return known_containers(workspace.db, source_id)
    uris = [uri for uri in container_uris(workspace.db, source_id) if workspace.scope.covers(uri)]
    return known_containers(workspace.db, source_id, uris=uris)


def unpack_fingerprint(workspace: Workspace) -> bytes:
    """Of the rules by which containers are unpacked; with others they are looked into anew."""
    limits = workspace.settings.limits
    return hash_facts(
        {
            "unpack": UNPACK_VERSION,
            "sniffing": SNIFF_VERSION,
            "limits": asdict(workspace.unpack_limits),
            "process": [limits.parse_timeout_s, limits.parse_memory_mb],
        }
    )


def _find_containers(
    workspace: Workspace,
    listing: Listing,
    current: Mapping[str, Container],
    remembered: Mapping[str, Container],
    known: Mapping[str, Known],
    rejected: Mapping[str, Known],
) -> list[tuple[str, str | None]]:
    """(uri, parser), in order, of files that their first bytes call containers, and not known as they are.

    The parser is None where a container of the past cannot be read now, or has no bytes.
    """
    remote = is_remote(workspace.scope.source.root_url)
    fingerprints = workspace.fingerprints
    suspects = []
    for uri, stat in listing.items.items():
        if uri not in remembered:
            past = (rejected.get(uri) if rejected else None) or known.get(uri)
            if past is not None and past.stat == stat and _is_read_by_this_pipeline(past, fingerprints):
                continue
            if remote and PurePosixPath(uri).suffix.lower() not in REMOTE_SUFFIXES:
                continue
            suspects.append(uri)
        elif uri not in current:
            suspects.append(uri)
    if not suspects:
        return []
    with ThreadPoolExecutor(PEEK_THREADS) as threads:
        kinds = zip(suspects, threads.map(lambda uri: _kind(workspace, listing, uri), suspects), strict=True)
        return sorted(
            (uri, kind) for uri, kind in kinds if kind in CONTAINERS or (kind is None and uri in remembered)
        )


def _is_read_by_this_pipeline(past: Known, fingerprints: Mapping[str, bytes]) -> bool:
    """Whether it is a document, and none that may hold others, as this version of revector sees it."""
    is_plain = base_parser(past.parser) not in ("", *CONTAINERS)
    return is_plain and fingerprints.get(past.parser) == past.fingerprint


def _kind(workspace: Workspace, listing: Listing, uri: str) -> str | None:
    """The parser for the file, "" for none, None where it cannot be read or has no bytes."""
    try:
        with workspace.lister.open(uri, listing.paths.get(uri, uri)) as (stream, _):
            return choose_parser(stream.read(HEAD_BYTES), uri)
    except (FetchFailed, EmptyDocument):  # fetching it will say so, if it is no container
        return None
    except DocumentError:
        return ""


def _look_inside(
    workspace: Workspace, listing: Listing, uri: str, kind: str | None, before: Container | None
) -> Container:
    """What the container holds now; where it cannot be opened, why."""
    started_ns = workspace.clock_ns()
    stat: Stat | None = listing.items[uri]
    is_document = kind != "archive" if kind or before is None else before.is_document
    attempts = 0
    try:
        if kind is None:
            raise FetchFailed("It cannot be read, or has no bytes.", advice="The next run looks again.")
        inside, stat = workspace.lister.look_inside(uri, listing.paths.get(uri, uri))
    except DocumentError as error:
        inside = Unpacked(refused=(Refused("", type(error).__name__, str(error)),))
        if isinstance(error, ParseTimeout | ParseCrashed):  # may be the machine's fault: tried a few times
            attempts = 1 + (before.attempts if before is not None and before.stat == stat else 0)
        elif error.retryable:
            stat = None
    kept = None if stat is None or (is_racy(stat, started_ns) and not attempts) else stat
    return Container(kept, b"", inside, is_document=is_document, attempts=attempts)


def _expand(workspace: Workspace, listing: Listing, containers: Mapping[str, Container]) -> Listing:
    source = workspace.scope.source
    skip, take = compile_patterns(source.exclude), compile_patterns(source.include)
    items, paths = dict(listing.items), dict(listing.paths)
    problems = list(listing.problems)
    for uri, container in sorted(containers.items()):
        spelled = paths.get(uri, uri)
        if not container.is_document:
            del items[uri]
        for number, member in enumerate(container.inside.members, start=1):
            name = f"{uri}/{member.name}"
            if not _is_taken(member.name, name, skip, take):
                continue
            if len(name) > MAX_URI_CHARACTERS:
                problems.append(ListingProblem(f"{uri}/(file {number})", TOO_LONG, blocks=""))
            elif name in listing.items:  # an object store may have both
                problems.append(ListingProblem(f"{name} (in the archive)", BESIDE, blocks=""))
            else:
                items[name], paths[name] = member.stat, member_path(spelled, member.name)
        problems += _problems(uri, container, skip, take)
    shown = [_beside(problem, items) for problem in problems]
    return replace(listing, items=items, paths=paths, problems=tuple(shown))


def _beside(problem: ListingProblem, items: Mapping[str, Stat]) -> ListingProblem:
    """A problem under a uri of its own: one that is listed too belongs to the document of that name."""
    if problem.uri not in items:
        return problem
    return replace(problem, uri=f"{problem.uri} (another)", blocks=problem.blocked)


def _problems(
    uri: str, container: Container, skip: Match | None, take: Match | None
) -> Iterator[ListingProblem]:
    for number, problem in enumerate(problems_of(uri, container), start=1):
        inner = problem.uri[len(uri) + 1 :]
        if len(problem.uri) > MAX_URI_CHARACTERS:
            yield replace(problem, uri=f"{uri}/(refused {number})", blocks=problem.blocked)
        elif not inner or _is_taken(inner, problem.uri, skip, take):
            yield problem


def _is_taken(inner: str, uri: str, skip: Match | None, take: Match | None) -> bool:
    """Whether the patterns take a member; a folder that is skipped takes all below it along."""
    parts = inner.split("/")
    root = uri[: len(uri) - len(inner)]
    if skip and any(skip(part, root + "/".join(parts[: i + 1])) for i, part in enumerate(parts)):
        return False
    return not take or take(parts[-1], uri)
