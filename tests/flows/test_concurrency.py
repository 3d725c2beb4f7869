"""Runs that meet: whoever plans on an old state undoes nothing that is newer."""

from __future__ import annotations

import pytest

from registry.collections import get_collection
from registry.runs import latest_runs, mark_crashed_runs
from schemas.errors import DatabaseUnavailable, RunLost, SpaceMismatch
from tests.world import World


@pytest.fixture
def ingest_with(world):
    """Ingests with one step replaced: `ingest_with(step=lambda original: function)`."""
    return world.ingest_with


def _after(original, action):
    """The step, and then something that another run does."""

    def step(*args, **options):
        result = original(*args, **options)
        action()
        return result

    return step


def test_a_run_that_was_taken_for_dead_shows_nothing(world, ingest_with, database_url):
    world.write("a.txt", "The first document.")
    world.ingest()
    world.write("b.txt", "The second document.")
    (world.folder / "a.txt").rename(world.folder / "c.txt")
    collection = get_collection(world.session.db, "default")

    def lose_connection():
        with world.session.db.connection() as connection:
            connection.execute("RESET ROLE")
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'revector run' AND datname = current_database()"
            )
            connection.execute("SET ROLE revector_app")
        assert len(mark_crashed_runs(world.session.db, collection.id)) == 1

    with pytest.raises(Exception, match=r"taken for dead|not available"):
        ingest_with(write_window=lambda step: _after(step, lose_connection))
    assert {hit.uri for hit in world.keyword("document", k=10)} == {"a.txt"}
    assert latest_runs(world.session.db, collection.id, most=1)[0]["state"] == "crashed"
    assert world.ingest().documents.moved == 1
    assert {hit.uri for hit in world.keyword("document", k=10)} == {"b.txt", "c.txt"}


def test_staging_for_a_run_that_is_over_is_refused(world):
    from uuid import uuid4

    from registry.staging import StageTarget, stage_window

    world.write("a.txt", "A document.")
    world.ingest()
    with pytest.raises(RunLost, match="Run it again"):
        stage_window(world.session.db, StageTarget(1, 1, 1, uuid4()), [])


def test_a_deletion_planned_on_an_old_state_does_not_retire_a_newer_version(world, ingest_with):
    world.write("keep.txt", "This one stays.")
    path = world.write("x.txt", "The first state of x.")
    world.ingest()
    path.unlink()

    def bring_back():
        world.write("x.txt", "The second state of x.")
        world.ingest()

    report = ingest_with(plan_run=lambda step: _after(step, bring_back))
    assert (report.documents.deleted, report.conflicts, report.release) == (0, 1, None)
    assert [hit.text for hit in world.keyword("state")] == ["The second state of x."]


def test_a_change_planned_on_an_old_state_does_not_hide_a_newer_version(world, ingest_with):
    world.write("x.txt", "The first state of x.")
    world.ingest()
    world.write("x.txt", "The second state of x.")

    def change_again():
        world.write("x.txt", "The third state of x.")
        world.ingest()

    report = ingest_with(write_window=lambda step: _after(step, change_again))
    assert (report.documents.changed, report.conflicts) == (0, 1)
    assert [hit.text for hit in world.keyword("state")] == ["The third state of x."]
    assert world.ingest().state == "unchanged"


def test_the_slower_of_two_equal_runs_reports_that_nothing_was_left_to_do(world, ingest_with):
    world.write("x.txt", "A document for two runs.")
    report = ingest_with(write_window=lambda step: _after(step, world.ingest))
    assert (report.state, report.documents.added, report.documents.unchanged) == ("unchanged", 0, 1)
    assert report.conflicts == 0


def test_documents_that_reach_an_absorbed_source_late_are_absorbed_by_the_next_run(world, ingest_with):
    world.write("sub/a.txt", "A document in sub.")
    world.ingest(world.folder / "sub")
    late = world.write("sub/late.txt", "A late document in sub.")

    def absorb_meanwhile():
        world.ingest()

    ingest_with(world.folder / "sub", write_window=lambda step: _after(step, absorb_meanwhile))
    late.unlink()
    world.ingest()
    assert {hit.uri for hit in world.keyword("document", k=10)} == {"sub/a.txt"}
    assert world.ingest().state == "unchanged"


def test_what_is_new_in_a_source_that_is_being_absorbed_is_not_retired(world, ingest_with):
    world.write("sub/a.txt", "A document in sub.")
    world.ingest(world.folder / "sub")

    def add_to_sub():
        world.write("sub/b.txt", "Another document in sub.")
        world.ingest(world.folder / "sub")

    ingest_with(plan_run=lambda step: _after(step, add_to_sub))
    shown = {hit.text for hit in world.keyword("document", k=10)}
    assert shown == {"A document in sub.", "Another document in sub."}
    world.ingest()
    assert {hit.uri for hit in world.keyword("document", k=10)} == {"sub/a.txt", "sub/b.txt"}


def test_a_collection_keeps_to_the_model_it_was_made_with(world, database_url, tmp_path):
    world.write("a.txt", "A document.")
    world.ingest()
    with world.session.db.connection() as connection:
        connection.execute("RESET ROLE")
        connection.execute("UPDATE embedding_space SET fingerprint = 'other', revision = 'other'")
        connection.execute("SET ROLE revector_app")
    with pytest.raises(SpaceMismatch, match=r"\(other\).*new collection"):
        world.ingest()
    assert world.ingest(collection="second").release == 1
    with world.session.db.connection() as connection:  # for the check at the end
        connection.execute("RESET ROLE")
        connection.execute("DELETE FROM activation WHERE collection_id = 1")
        connection.execute("DELETE FROM visible WHERE collection_id = 1")
        connection.execute("UPDATE collection SET current_release = 0 WHERE id = 1")
        connection.execute("SET ROLE revector_app")


def test_readers_see_the_previous_release_until_activation(world, ingest_with, database_url, tmp_path):
    world.write("a.txt", "The old text.")
    world.ingest()
    world.write("a.txt", "The new text.")
    seen = []
    ingest_with(write_window=lambda step: _after(step, lambda: seen.append(world.keyword("text")[0].text)))
    assert (seen, world.keyword("text")[0].text) == (["The old text."], "The new text.")


def test_a_new_collection_does_not_wait_for_a_reader(world, tmp_path):
    """ATTACH PARTITION takes a lock that goes with reading; CREATE ... PARTITION OF does not."""
    world.write("a.txt", "A document.")
    world.ingest()
    with world.session.db.transaction() as reader:
        reader.execute("SELECT count(*) FROM vectors_1")
        with World.open(tmp_path, world.session.db.url) as other:
            assert other.ingest(collection="second").release == 1


def test_a_run_whose_release_is_out_has_succeeded_whatever_comes_after(world, ingest_with):
    def fail(*_):
        raise DatabaseUnavailable("The connection is gone.", advice="")

    world.write("a.txt", "A heron.")
    with pytest.raises(DatabaseUnavailable):
        ingest_with(check_release=lambda _: fail)
    (run,) = latest_runs(world.session.db, 1)
    assert (run["state"], run["error"]) == ("succeeded", "DatabaseUnavailable: The connection is gone.")
    assert len(world.releases()) == 1
