"""Planning: what changed, from stats, hashes and fingerprints alone."""

from __future__ import annotations

import pytest

from schemas.errors import MassDeletion
from schemas.plan import ChangePlan, Known
from schemas.settings import GuardSettings
from schemas.source import Listing, ListingProblem, Scope, Source, Stat
from tasks.changes import check_deletions, is_racy, plan_changes

SCOPE = Scope(Source("docs", "/docs"))
NOW = {"text": b"new"}


def known(content: bytes, stat: Stat | None, *, version=1, fingerprint=b"new", rejected=False) -> Known:
    return Known(version, version, stat, content, "text", fingerprint, rejected)


def plan(items, past=None, rejected=None, contents=None, *, scope=SCOPE, problems=()):
    contents = contents or {}
    read = []

    def hash_many(uris):
        read.extend(uris)
        return {uri: contents[uri] for uri in uris if uri in contents}

    made = plan_changes(
        Listing(items, problems=problems), past or {}, rejected or {}, NOW, scope=scope, hash_many=hash_many
    )
    return made, read


def test_an_equal_stat_is_not_read():
    made, read = plan({"a": Stat(1, 2, 3, 4)}, {"a": known(b"x", Stat(1, 2, 3, 4))})
    assert (made.unchanged, read, made.is_empty) == (1, [], True)


@pytest.mark.parametrize("stat", [Stat(9, 2, 3, 4), Stat(1, 9, 3, 4), Stat(1, 2, 9, 4), Stat(1, 2, 3, 9)])
def test_any_other_stat_is_read_and_equal_bytes_are_unchanged(stat):
    made, read = plan({"a": stat}, {"a": known(b"x", Stat(1, 2, 3, 4))}, contents={"a": b"x"})
    assert (made.unchanged, read, made.restat) == (1, ["a"], {"a": stat})


def test_other_bytes_are_a_change():
    made, _ = plan({"a": Stat(2)}, {"a": known(b"x", Stat(1), version=7)}, contents={"a": b"y"})
    assert (made.changed, made.bases, made.restat) == (("a",), {"a": 7}, {})


def test_another_pipeline_is_a_change_of_every_document():
    made, read = plan({"a": Stat(1)}, {"a": known(b"x", Stat(1), fingerprint=b"old")})
    assert (made.changed, read) == (("a",), [])


def test_an_item_that_cannot_be_read_is_left_to_its_fetch():
    made, _ = plan({"a": Stat(2)}, {"a": known(b"x", Stat(1))}, contents={})
    assert made.changed == ("a",)


def test_a_stat_that_could_not_be_trusted_is_read_again():
    made, read = plan({"a": Stat(1)}, {"a": known(b"x", None)}, contents={"a": b"x"})
    assert (made.unchanged, read) == (1, ["a"])


def test_a_new_name_with_the_bytes_of_a_vanished_file_is_a_move():
    made, _ = plan({"new": Stat(5)}, {"old": known(b"x", Stat(5))}, contents={"new": b"x"})
    assert (made.moved, made.added, made.deleted) == ((("old", "new"),), (), ())


def test_only_candidates_of_a_vanished_size_are_read_for_moves():
    made, read = plan(
        {"same": Stat(5), "other": Stat(6)}, {"old": known(b"x", Stat(5))}, contents={"same": b"y"}
    )
    assert (read, made.added, made.deleted) == (["same"], ("other", "same"), ("old",))


def test_equal_files_move_one_to_one():
    past = {"old1": known(b"x", Stat(5)), "old2": known(b"x", Stat(5))}
    made, _ = plan({"new": Stat(5)}, past, contents={"new": b"x"})
    assert made.moved == (("old1", "new"),)
    assert made.deleted == ("old2",)


def test_nothing_outside_the_scope_is_deleted():
    past = {"in/a": known(b"x", Stat(1)), "inside": known(b"y", Stat(1)), "out/b": known(b"z", Stat(1))}
    made, _ = plan({}, past, scope=Scope(Source("docs", "/docs"), "in"))
    assert made.deleted == ("in/a",)


def test_nothing_under_an_unreadable_folder_is_deleted():
    past = {"locked/a": known(b"x", Stat(1)), "gone": known(b"y", Stat(1))}
    made, _ = plan({}, past, problems=(ListingProblem("locked", "Permission denied"),))
    assert made.deleted == ("gone",)


def test_a_rejection_is_not_tried_again_until_content_or_pipeline_changes():
    past = {"a": known(b"x", Stat(1), rejected=True)}
    same, _ = plan({"a": Stat(1)}, rejected=past)
    touched, _ = plan({"a": Stat(2)}, rejected=past, contents={"a": b"x"})
    changed, _ = plan({"a": Stat(2)}, rejected=past, contents={"a": b"y"})
    other = {"a": known(b"x", Stat(1), fingerprint=b"old", rejected=True)}
    upgraded, _ = plan({"a": Stat(1)}, rejected=other)
    assert (same.rejected, same.is_empty) == (("a",), True)
    assert (touched.rejected, touched.restat) == (("a",), {"a": Stat(2)})
    assert (changed.added, upgraded.added) == (("a",), ("a",))


def test_a_rejection_that_is_gone_is_forgotten():
    made, _ = plan({}, rejected={"a": known(b"x", Stat(1), rejected=True)})
    assert made.forgotten == ("a",)


@pytest.mark.parametrize(
    ("deleted", "known_count", "listed", "stops"),
    [(10, 33, 23, True), (10, 34, 24, False), (9, 9, 1, False), (1, 1, 0, True), (0, 5, 5, False)],
)
def test_the_guard_stops_over_30_percent_and_at_least_10_or_an_empty_source(
    deleted, known_count, listed, stops
):
    made = ChangePlan(deleted=tuple(f"d{i}" for i in range(deleted)))
    if stops:
        with pytest.raises(MassDeletion, match="--allow-deletions"):
            check_deletions(made, listed, known_count, GuardSettings())
    else:
        check_deletions(made, listed, known_count, GuardSettings())


def test_a_stat_from_the_last_clock_tick_is_racy():
    second = 1_000_000_000
    assert is_racy(Stat(1, 0, 5 * second + 7, 0), 5 * second + 8)
    assert not is_racy(Stat(1, 0, 5 * second + 7, 0), 6 * second)
    assert is_racy(Stat(1, 0, 5 * second, 0), 6 * second), "whole seconds: a coarse file system"
    assert not is_racy(Stat(1, etag="e"), 0)
