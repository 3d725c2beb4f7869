"""`revector reembed` and what it leads to: looked at first, done, told, and shown by status and doctor."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.model_folders import make_model_folder

OLD = "all-MiniLM-L6-v2"


@pytest.fixture
def planned(run_json, docs, tmp_path):
    """A collection of two documents, and a second model that its settings name as the next one."""
    run_json("ingest", str(docs))
    model = make_model_folder(tmp_path / "better", dim=96)
    (tmp_path / "revector.toml").write_text(f'[collections.default.next]\nmodel = "{model}"\n')
    return docs


def _json(text):
    return json.loads(text)


def _rows(database_url):
    """How many spaces, uses of spaces and runs are recorded."""
    tables = ("embedding_space", "collection_space", "run")
    with psycopg.connect(database_url) as connection:
        connection.execute("SET search_path TO revector, public")
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def test_a_look_counts_what_would_be_embedded_and_writes_nothing(run_json, run, planned, database_url):
    before = _rows(database_url)
    plan = run_json("reembed", "--dry-run")
    assert (plan["model_before"], plan["model_after"], plan["dry_run"]) == (OLD, "better", True)
    assert (plan["chunks"], plan["kept"], plan["converted"], plan["truncated"]) == (2, 0, 0, 0)
    estimate = plan["estimate"]
    assert (estimate["texts"], estimate["seconds"], estimate["basis"]) == (2, None, "counted")
    code, out, _ = run("reembed", "--dry-run")
    assert code == 0
    assert f"would change {OLD} to better" in out
    assert "how long is not known" in out
    assert out.endswith("Nothing was written.\n")
    assert _rows(database_url) == before


def test_a_reembed_says_what_it_did_and_what_comes_next(run, planned):
    code, out, _ = run("reembed")
    assert code == 0
    assert f"{OLD} -> better" in out
    assert "2 shown: 2 embedded" in out
    assert "release    2" in out
    assert f"`model` in revector.toml still names {OLD}: leave both" in out
    code, out, _ = run("reembed")
    assert (code, out) == (0, "Collection default shows vectors of better already: nothing to do.\n")
    code, out, _ = run("reembed", "--dry-run")
    assert (code, out) == (0, "Collection default shows vectors of better already: nothing to do.\n")


def test_its_json_has_counts_comparison_and_release(run_json, planned):
    report = run_json("reembed", "-c", "default")
    assert (report["state"], report["release"], report["chunks"], report["embedded"]) == (
        "succeeded",
        2,
        2,
        2,
    )
    assert (report["model_before"], report["model_after"]) == (OLD, "better")
    assert set(report["comparison"]) == {
        "queries", "k", "overlap", "recall"
    }  # fmt: skip
    assert report["switch_seconds"] > 0
    again = run_json("reembed")
    assert (again["state"], again["release"]) == ("unchanged", None)


def test_chunks_that_the_next_model_does_not_read_to_their_end_are_counted(run_json, docs, tmp_path):
    (docs / "long.txt").write_text("Storks nest on chimneys. " * 30)
    run_json("ingest", str(docs))
    model = make_model_folder(tmp_path / "shorter", max_tokens=20)
    (tmp_path / "revector.toml").write_text(f'[collections.default.next]\nmodel = "{model}"\n')
    assert run_json("reembed", "--dry-run")["truncated"] == 1
    assert run_json("reembed")["truncated"] == 1


def test_vectors_that_are_only_stored_another_way_need_no_model(run, run_json, docs, tmp_path):
    run_json("ingest", str(docs))
    (tmp_path / "revector.toml").write_text('[collections.default.next.vectors]\ndtype = "halfvec"\n')
    plan = run_json("reembed", "--dry-run")
    assert (plan["converted"], plan["estimate"]["texts"], plan["estimate"]["seconds"]) == (2, 0, 0.0)
    code, out, _ = run("reembed")
    assert code == 0
    assert "2 stored in the other way" in out
    assert "`vectors` of the collection" in out
    assert f"{OLD} -> {OLD} (halfvec)" in out


def test_what_only_the_index_tells_apart_is_told_apart(run, run_json, docs, tmp_path):
    run_json("ingest", str(docs))
    (tmp_path / "revector.toml").write_text("[collections.default.next.vectors]\nm = 24\n")
    _, out, _ = run("reembed")
    assert "m 16, ef_construction 64) -> " in out
    assert "m 24, ef_construction 64)" in out
    assert "`vectors` of the collection" in out


def test_a_second_look_counts_only_what_is_missing_and_knows_the_speed(run_json, planned):
    run_json("reembed")
    run_json("rollback", "--last")
    (planned / "c.txt").write_text("An owl hoots at night.")
    run_json("ingest", str(planned))
    plan = run_json("reembed", "--dry-run")
    assert (plan["chunks"], plan["kept"], plan["estimate"]["texts"]) == (3, 2, 1)
    assert plan["estimate"]["seconds"] is not None, "this model has embedded here before"


def test_a_gate_that_holds_is_exit_code_3_and_nothing_changes(run, run_json, planned, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "storks"\ndocument = "nowhere.txt"\n')
    settings = (tmp_path / "revector.toml").read_text()
    (tmp_path / "revector.toml").write_text(
        f'[collections.default.gate]\ncanaries = "canaries.toml"\n{settings}'
    )
    code, out, err = run("reembed", "--json")
    assert code == 3
    assert _json(out)["error"]["class"] == "GateFailed"
    assert "nowhere.txt" in err
    assert run_json("status")["model"] == OLD


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_without_a_next_model_it_says_what_to_write(run, run_json, docs, option):
    run_json("ingest", str(docs))
    code, out, err = run("reembed", *option)
    assert (code, out) == (2, "")
    assert "[collections.default.next]" in err
    assert run("reembed", "-c", "nowhere", *option)[0] == 2


def test_status_says_that_a_next_model_is_configured_until_it_serves(run, run_json, planned):
    assert run_json("status")["next"] == {"model": "better", "is_active": False, "problem": None}
    _, out, _ = run("status")
    assert "`revector reembed` would change this to better." in out
    run_json("reembed")
    status = run_json("status")
    assert (status["model"], status["next"]["is_active"]) == ("better", True)
    assert "revector reembed" not in run("status")[1]


def test_status_says_why_nothing_can_be_changed_to_the_next_model(run, run_json, docs, tmp_path):
    run_json("ingest", str(docs))
    assert run_json("status")["next"] is None
    (tmp_path / "revector.toml").write_text('[collections.default.next]\nmodel = "./not-here"\n')
    assert run_json("status")["next"]["model"] == str(tmp_path / "not-here")
    _, out, _ = run("status")
    assert f"would change this to {tmp_path / 'not-here'}. It cannot: " in out


def test_doctor_looks_at_the_next_model_too(run, planned, tmp_path):
    _, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in _json(out)["checks"]}
    assert checks["next model of 'default' (documents)"]["detail"].startswith("better (")
    (tmp_path / "revector.toml").write_text('[collections.default.next]\nmodel = "./not-here"\n')
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in _json(out)["checks"]}
    assert (code, checks["next model of 'default' (documents)"]["ok"]) == (1, False)
    assert checks["model of 'default' (documents)"]["ok"]


def test_doctor_says_that_the_files_of_what_serves_have_changed(run, planned, tmp_path):
    run("reembed")
    _, out, _ = run("doctor", "--json")
    found = {check["name"]: check for check in _json(out)["checks"]}["vectors of 'default'"]
    assert (found["ok"], found["detail"].split(" (")[0]) == (True, "made with better")
    weights = tmp_path / "better" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    code, out, _ = run("doctor", "--json")
    found = {check["name"]: check for check in _json(out)["checks"]}["vectors of 'default'"]
    assert (code, found["ok"]) == (1, False)
    assert "The files of better are not those that the vectors were made with." in found["detail"]
