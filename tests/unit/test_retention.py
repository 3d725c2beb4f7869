"""Retention: what stays, and that larger limits never keep less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.retention import VersionFacts
from schemas.settings import RetentionSettings
from tasks.retention import apply_policy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOTHING = RetentionSettings(keep_versions=0, keep_days=0, keep_tagged=False, grace_hours=0)


def _version(number, *, ended=None, days_ago=100.0, **facts):
    """Version `number` of document 1, superseded by release `ended` so many days ago."""
    return VersionFacts(
        id=number,
        document_id=facts.pop("document", 1),
        uri="a.txt",
        source="docs",
        version=number,
        created_at=NOW - timedelta(days=days_ago + 1),
        ended_release=ended,
        ended_at=None if ended is None else NOW - timedelta(days=days_ago),
        **facts,
    )


def _kept(versions, **policy):
    plan = apply_policy(versions, NOTHING.model_copy(update=policy), NOW)
    return sorted(version.id for version in plan.kept)


HISTORY = [
    _version(1, ended=2, days_ago=30),
    _version(2, ended=3, days_ago=10),
    _version(3, ended=4, days_ago=1),
    _version(4, active=True),
]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({}, [4]),
        ({"keep_versions": 1}, [3, 4]),
        ({"keep_versions": 2}, [2, 3, 4]),
        ({"keep_days": 11}, [2, 3, 4]),
        ({"keep_days": 10}, [3, 4]),
        ({"keep_versions": 1, "keep_days": 31}, [1, 2, 3, 4]),
    ],
)
def test_the_last_versions_and_the_last_days_are_kept(policy, kept):
    assert _kept(HISTORY, **policy) == kept


def test_the_last_version_is_the_one_that_was_shown_last():
    """Version 1 came back after version 2: it is the one to go back to."""
    back = [_version(1, ended=4, days_ago=5), _version(2, ended=3, days_ago=7), _version(3, active=True)]
    assert _kept(back, keep_versions=1) == [1, 3]


def test_of_a_retired_document_only_days_and_tags_count():
    gone = [_version(1, ended=2, days_ago=30), _version(2, ended=3, days_ago=10, tags=("v1",))]
    assert _kept(gone, keep_versions=5) == []
    assert _kept(gone, keep_days=11) == [2]
    assert _kept(gone, keep_tagged=True) == [2]


def test_what_was_never_shown_has_its_hours_of_grace_only():
    crashed = [_version(1, days_ago=1)]
    assert _kept(crashed, keep_versions=9, keep_days=999, grace_hours=48) == []
    assert _kept(crashed, grace_hours=49) == [1]


def test_what_a_run_has_staged_is_kept():
    assert _kept([_version(1, staged=True)]) == [1]


moments = st.floats(min_value=0, max_value=60)


@st.composite
def _histories(draw):
    """Some documents, each with versions in any state the registry can hold."""
    versions, number = [], 0
    for document in range(draw(st.integers(0, 4))):
        active = draw(st.booleans())
        for index in range(draw(st.integers(0, 5))):
            number += 1
            ended = draw(st.none() | st.integers(1, 30))
            version = _version(number, ended=ended, days_ago=draw(moments), document=document)
            tags = draw(st.sampled_from([(), ("v1",)]))
            staged = draw(st.booleans())
            version = replace(version, tags=tags, staged=staged)
            if index == 0 and active:
                version = replace(version, active=True, ended_release=None, ended_at=None)
            versions.append(version)
    return versions


policies = st.builds(
    RetentionSettings,
    keep_versions=st.integers(0, 4),
    keep_days=st.integers(0, 70),
    keep_tagged=st.booleans(),
    grace_hours=st.integers(0, 2000),
)


@given(_histories(), policies, policies)
def test_larger_limits_keep_at_least_as_much(versions, one, other):
    larger = RetentionSettings(
        keep_versions=max(one.keep_versions, other.keep_versions),
        keep_days=max(one.keep_days, other.keep_days),
        keep_tagged=one.keep_tagged or other.keep_tagged,
        grace_hours=max(one.grace_hours, other.grace_hours),
    )
    less = {version.id for version in apply_policy(versions, one, NOW).kept}
    assert less <= {version.id for version in apply_policy(versions, larger, NOW).kept}


@given(_histories(), policies)
def test_what_is_shown_or_staged_is_never_dropped_and_each_version_has_a_reason(versions, policy):
    plan = apply_policy(versions, policy, NOW)
    assert not [v for v in plan.dropped if v.active or v.staged]
    assert sorted(item.facts.id for item in plan.items) == sorted(v.id for v in versions)
    assert all(item.reason.endswith(".") and len(item.reason) > 10 for item in plan.items)


@given(_histories(), policies, st.randoms())
def test_the_order_of_the_versions_does_not_matter(versions, policy, rng):
    shuffled = rng.sample(versions, len(versions))
    assert apply_policy(shuffled, policy, NOW) == apply_policy(versions, policy, NOW)
