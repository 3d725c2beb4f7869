"""What a run does that is asked to try some documents again, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from schemas.container import ATTACHMENTS
from schemas.plan import ChangePlan, Known
from schemas.source import Listing, is_under


def restrict(
    plan: ChangePlan,
    listing: Listing,
    known: Mapping[str, Known],
    held: Collection[str],
    only: Collection[str],
) -> ChangePlan:
    """The plan for some documents that are listed: they are tried even where they were rejected before.

    A uri of an archive or a mail stands for all it holds. What a rollback took out of view stays so.
    """
    tried = frozenset(uri.removesuffix(ATTACHMENTS) for uri in only)
    due = {uri for uri in listing.items if is_under(uri, tried)}
    due = {uri for uri in due if uri not in held and not (uri in known and known[uri].held)}
    changed = tuple(sorted(due & known.keys()))
    return ChangePlan(
        added=tuple(sorted(due - known.keys())),
        changed=changed,
        bases={uri: known[uri].version_id for uri in changed},
        forgotten=tuple(uri for uri in plan.forgotten if is_under(uri, tried | frozenset(only))),
    )
