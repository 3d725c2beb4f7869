"""A run that looks at named documents: how wide it has to look, and what came of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from registry.containers import container_uris
from schemas.errors import DocumentError
from schemas.plan import Named
from schemas.release import Rejection
from tasks.planning import Planned
from tasks.sources.patterns import is_left_out
from tasks.sources.sidecars import pair_stem
from tasks.workspace import Workspace

CONFLICT = "conflict"
_WORK = {"restat": "unchanged", "same": "unchanged", "gone": "deleted"}


def look_at(workspace: Workspace, named: Named) -> None:
    """Narrow the run's scope to what is named; all of it where the whole source is.

    A file inside an archive is looked at by looking at the archive, an image by its sidecar. Where a wider
    source has taken over the one that the uris are of, they are looked at as the wider one calls them.
    """
    scope = workspace.scope
    uris, gone = (
        frozenset(f"{scope.prefix}/{uri}".strip("/") for uri in said) if scope.prefix else said
        for said in (named.uris, named.gone)
    )
    workspace.named, workspace.gone, workspace.place = uris, gone, scope.prefix
    if "" in uris:
        return
    names = workspace.lister.resolve_names(uris)
    assert scope.source.id is not None
    containers = container_uris(workspace.db, scope.source.id)
    workspace.gone_containers = gone & containers
    inside = {place for uri in uris for place in places(uri) if place in containers}
    workspace.scope = replace(scope, prefix="", path="", names=uris | names | inside)
    workspace.nested = [source for source in workspace.nested if _covers_root(workspace, source.root_url)]


def _covers_root(workspace: Workspace, root_url: str) -> bool:
    return workspace.scope.covers(root_url[len(workspace.scope.source.root_url) :].strip("/"))


def named_outcomes(
    workspace: Workspace, planned: Planned, outcome: Mapping[str, str], rejections: Sequence[Rejection]
) -> dict[str, str]:
    """Uri -> what came of it (`schemas.event.Outcome`), of all that is named, as it was named.

    Args:
        workspace: the run's surroundings.
        planned: what the run planned.
        outcome: uri -> what was done to documents that were worked on, or overtaken by another run.
        rejections: what stands rejected in the scope.
    """
    if not workspace.named:
        return {}
    found = _by_document(planned, outcome)
    for rejection in rejections:
        found[rejection.uri] = "partial" if rejection.part else "rejected"
    under: dict[str, set[str]] = {}
    for uri, what in found.items():
        for place in places(uri):
            if place in workspace.named:
                under.setdefault(place, set()).add(what)
    opened = planned.opened
    seen = chain(opened.listing.items, opened.looked_into, planned.known)
    listed = {place for uri in seen for place in places(uri) if place in workspace.named}
    beside = _of_stems(found) if workspace.kind == "images" else {}
    start = len(workspace.place) + bool(workspace.place)
    return {
        uri[start:]: found.get(uri)
        or _of_folder(under.get(uri))
        or beside.get(pair_stem(uri))
        or _of_nothing_done(workspace, uri, listed)
        for uri in workspace.named
    }


def _by_document(planned: Planned, outcome: Mapping[str, str]) -> dict[str, str]:
    plan = planned.plan
    found = dict.fromkeys(plan.deleted, "deleted") | dict.fromkeys(plan.held, "held")
    found |= {name: "moved" for pair in plan.moved for name in pair}
    return found | {uri: _WORK.get(what, what) for uri, what in outcome.items()}


def _of_stems(found: Mapping[str, str]) -> dict[str, str]:
    """Stem -> outcome of its images: a sidecar is a part of them."""
    stems: dict[str, set[str]] = {}
    for uri, what in found.items():
        stems.setdefault(pair_stem(uri), set()).add(what)
    return {stem: _of_folder(outcomes) for stem, outcomes in stems.items() if stem}


def _of_folder(inside: set[str] | None) -> str:
    """Of a folder with these outcomes in it; "" where nothing in it was touched."""
    if not inside:
        return ""
    if CONFLICT in inside:
        return CONFLICT
    if inside & {"added", "changed", "moved", "deleted"}:
        return "changed"
    return inside.pop() if len(inside) == 1 else "unchanged"


def _of_nothing_done(workspace: Workspace, uri: str, listed: set[str]) -> str:
    if uri in listed:
        return "unchanged"
    source = workspace.scope.source
    if is_left_out(uri, include=source.include, exclude=source.exclude):
        return "ignored"
    try:
        with workspace.lister.open(uri, uri):
            return "ignored"  # it is there, and not listed: a link that is not followed, for example
    except DocumentError:
        return "unknown"


def places(uri: str) -> Iterator[str]:
    """The uri and the folders and containers it lies in, inner ones first; "" is the source."""
    end = len(uri)
    while end > 0:
        yield uri[:end]
        end = uri.rfind("/", 0, end)
    yield ""
