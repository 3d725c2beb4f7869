"""The flow `reindex` under a Prefect server: its name, whom it is for, how it fails, what it leaves."""

from __future__ import annotations

import json

import pytest

from flows.reindexing import ReindexReport

pytestmark = pytest.mark.prefect


@pytest.fixture
def reindex(named):
    """The flow, where the collection `named` holds a.txt."""
    from flows.reindex import reindex

    return reindex


def last_run(client):
    return max(client.read_flow_runs(), key=lambda run: run.start_time)


@pytest.fixture
def away(monkeypatch):
    """The database is away in the midst of either kind of work; counts the tries."""
    import flows.reindex
    from schemas.errors import DatabaseUnavailable

    tries = {"apply_events": 0, "reindex_documents": 0}

    def put_away(name):
        def call(*_, **__):
            tries[name] += 1
            raise DatabaseUnavailable("away")

        monkeypatch.setattr(flows.reindex, name, call)

    for name in tries:
        put_away(name)
    return tries


def test_events_that_failed_are_left_to_their_own_next_try_and_the_run_fails(reindex, away):
    state = reindex("named", return_state=True)
    assert state.is_failed()
    assert state.message.startswith("DatabaseUnavailable: ")
    assert away["apply_events"] == 1


def test_what_a_person_has_named_is_tried_again_within_the_run(reindex, away):
    assert reindex("named", uris=["a.txt"], return_state=True).is_failed()
    assert away["reindex_documents"] == 4


def test_a_run_for_events_does_not_say_that_a_person_asked_for_it(reindex, client, monkeypatch):
    import flows.reindex

    names = []

    def apply(session, steps, collection, **_):
        return ReindexReport(collection)

    monkeypatch.setattr(flows.reindex, "apply_events", apply)
    monkeypatch.setattr(flows.reindex, "rename_run", names.append)
    reindex("named")
    assert last_run(client).name == "reindex named: events → unchanged"
    assert names == ["reindex named: 0 events"]
    reindex("named", uris=["a.txt"])
    assert last_run(client).name == "reindex named: 1 path (manual) → unchanged"


def test_a_run_for_another_tenant_is_refused_before_the_registry_is_opened(reindex, monkeypatch):
    import flows.flow_run

    with monkeypatch.context() as patch:
        patch.setattr(flows.flow_run, "open_session", None)
        state = reindex("named", tenant="acme", return_state=True)
    assert state.is_failed()
    assert state.message.startswith("ConfigurationError: This run is for the tenant 'acme'")
    assert "serves 'default'" in state.message
    assert reindex("named", uris=["a.txt"], tenant="default").outcomes == {("docs", "a.txt"): "unchanged"}


def test_what_was_rejected_has_the_table_that_its_row_points_to(reindex, client, tmp_path):
    (tmp_path / "docs" / "b.txt").write_bytes(b"")
    reindex("named", uris=["b.txt"])
    artifacts = sorted(client.read_artifacts(), key=lambda artifact: artifact.created)
    tables = {a.key: json.loads(a.data) for a in artifacts if a.type == "table"}
    (row,) = tables["outcomes-named"]
    assert (row["outcome"], "table of rejections" in row["meaning"]) == ("rejected", True)
    assert [(row["document"], row["error"]) for row in tables["rejections-named"]] == [
        ("b.txt", "EmptyDocument")
    ]
