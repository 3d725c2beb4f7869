"""The flow `reembed` under a Prefect server: its name, what it leaves, how it fails."""

from __future__ import annotations

import pytest

from schemas.estimate import ReembedPlan
from tests.model_folders import make_model_folder

pytestmark = pytest.mark.prefect

OLD = "all-MiniLM-L6-v2"


@pytest.fixture
def reembed(named, tmp_path):
    """The flow, where the collection `named` has a next model."""
    from flows.reembed import reembed

    model = make_model_folder(tmp_path / "better", dim=96)
    (tmp_path / "revector.toml").write_text(f'[collections.named.next]\nmodel = "{model}"\n')
    return reembed


@pytest.fixture
def events(monkeypatch):
    """What is announced: (happening, payload)."""
    sent = []

    def announce(happening, *, tenant, collection, payload):
        sent.append((happening, payload))

    monkeypatch.setattr("flows.announcing.announce", announce)
    return sent


def _last_run(client):
    return max(client.read_flow_runs(), key=lambda run: run.start_time)


def _pages(client):
    artifacts = sorted(client.read_artifacts(), key=lambda artifact: artifact.created)
    return {artifact.key: artifact for artifact in artifacts}


def test_a_run_says_from_what_to_what_and_which_release_came_of_it(reembed, client, events):
    report = reembed("named")
    assert (report.state, report.release, report.embedded) == ("succeeded", 2, 1)
    assert _last_run(client).name == f"reembed named: {OLD} to better (manual) → release 2"
    pages = _pages(client)
    page = pages["reembed-named"].data
    assert page.startswith("# succeeded: collection `named`")
    assert f"`{OLD}` → `better`. Release **2**" in page
    assert f"**Chunks:** 1 shown: 1 embedded ({report.tokens} tokens)." in page
    assert "leave both" in page
    assert pages["reembed-embedding-named"].data == 100.0
    assert pages["reembed-switch-named"].data == 100.0
    ((happening, payload),) = events
    assert happening == "revector.release.activated"
    assert (payload["release"], payload["model_before"], payload["model_after"]) == (2, OLD, "better")
    assert payload["chunks"] == {"total": 1, "reused": 0, "embedded": 1}


def test_a_second_run_changes_nothing_and_announces_nothing(reembed, client, events):
    reembed("named")
    events.clear()
    assert reembed("named").state == "unchanged"
    assert _last_run(client).name == "reembed named (manual) → unchanged"
    assert "nothing was done" in _pages(client)["reembed-named"].data
    assert events == []


def test_a_look_leaves_a_page_and_no_release(reembed, client, events):
    plan = reembed("named", dry_run=True)
    assert isinstance(plan, ReembedPlan)
    assert (plan.chunks, plan.estimate.texts) == (1, 1)
    assert _last_run(client).name == f"preview of reembed named: {OLD} to better (manual)"
    page = _pages(client)["reembed-named"].data
    assert "(only looked)" in page
    assert "1 chunk to embed" in page
    assert events == []


def test_a_gate_that_holds_fails_the_run_and_says_so(reembed, client, events, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "pelicans"\ndocument = "nowhere.txt"\n')
    settings = (tmp_path / "revector.toml").read_text()
    (tmp_path / "revector.toml").write_text(
        f'[collections.named.gate]\ncanaries = "canaries.toml"\n{settings}'
    )
    state = reembed("named", return_state=True)
    assert state.is_failed()
    assert state.message.startswith("GateFailed: The new model was not taken")
    assert _last_run(client).name == f"reembed named: {OLD} to better (manual) → GateFailed"
    assert "nowhere.txt" in _pages(client)["reembed-failed-named"].data
    assert [happening for happening, _ in events] == ["revector.gate.failed"]


def test_without_a_next_model_the_state_says_what_to_write(reembed, tmp_path):
    (tmp_path / "revector.toml").unlink()
    state = reembed("named", return_state=True)
    assert state.is_failed()
    assert "[collections.named.next]" in state.message


def test_the_command_runs_the_flow_where_the_environment_names_a_server(reembed, client, monkeypatch):
    from flows.commands.reembedding import run_reembed

    monkeypatch.setenv("PREFECT_API_URL", str(client.api_url))
    assert run_reembed(None, "named", quiet=True).release == 2
    assert _last_run(client).name == f"reembed named: {OLD} to better (manual) → release 2"
