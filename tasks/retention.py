"""Which versions stay. Pure: what is stored, the policy and the time decide."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from schemas.retention import RetentionItem, RetentionPlan, VersionFacts
from schemas.settings import RetentionSettings


def apply_policy(versions: Iterable[VersionFacts], policy: RetentionSettings, now: datetime) -> RetentionPlan:
    """Keep or drop each version, with a reason. One rule that keeps is enough.

    Args:
        versions: all of a collection, in any order.
        policy: the limits; larger ones never keep less.
        now: with a time zone.
    """
    facts = sorted(versions, key=lambda v: (v.source, v.uri, v.document_id, v.version, v.id))
    ranks = _rank_previous(facts)
    items = []
    for version in facts:
        kept = _why_kept(version, ranks.get(version.id), policy, now)
        items.append(RetentionItem(version, kept is not None, kept or _why_dropped(version, policy)))
    return RetentionPlan(tuple(items))


def _rank_previous(facts: Iterable[VersionFacts]) -> dict[int, int]:
    """Version id -> 1 for the one that was shown last before the current one, 2 for the one before.

    Of documents that are still shown only: a retired one has no current version to go back from.
    """
    facts = list(facts)
    shown = {version.document_id for version in facts if version.active}
    previous: dict[int, list[VersionFacts]] = {}
    for version in facts:
        if version.document_id in shown and not version.active and version.ended_release is not None:
            previous.setdefault(version.document_id, []).append(version)
    return {
        version.id: rank
        for group in previous.values()
        for rank, version in enumerate(
            sorted(group, key=lambda v: (v.ended_release or 0, v.version), reverse=True), 1
        )
    }


def _why_kept(
    version: VersionFacts, rank: int | None, policy: RetentionSettings, now: datetime
) -> str | None:
    if version.active:
        return "The current release shows it."
    if version.staged:
        return "A run has staged it."
    if policy.keep_tagged and version.tags:
        return f"It is part of a tagged release: {', '.join(version.tags)}."
    if version.ended_at is None:
        if now - version.created_at < timedelta(hours=policy.grace_hours):
            return f"Never shown, but stored less than {_hours(policy)} ago: the next run may use it."
        return None
    if rank is not None and rank <= policy.keep_versions:
        return f"It is one of the last {policy.keep_versions} versions before the current one."
    if now - version.ended_at < timedelta(days=policy.keep_days):
        return f"It was shown until {version.ended_at:%Y-%m-%d}, within the last {policy.keep_days} days."
    return None


def _why_dropped(version: VersionFacts, policy: RetentionSettings) -> str:
    if version.ended_at is None:
        return f"Never shown, and stored more than {_hours(policy)} ago."
    return (
        f"Not shown since {version.ended_at:%Y-%m-%d}: beyond the last {policy.keep_versions} versions "
        f"of a shown document, and beyond {policy.keep_days} days."
    )


def _hours(policy: RetentionSettings) -> str:
    return f"{policy.grace_hours} hours"
