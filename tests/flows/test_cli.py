"""The command line's contract: field names, exit codes, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest


def test_plan_names_what_would_change(run_json, docs):
    plan = run_json("plan", str(docs))
    assert plan["collection"] == "default"
    assert plan["added"] == ["a.md", "b.txt", "empty.txt"]
    assert (plan["changed"], plan["moved"], plan["deleted"], plan["unchanged"]) == ([], [], [], 0)
    run_json("ingest", str(docs))
    (docs / "b.txt").rename(docs / "c.txt")
    (docs / "a.md").write_text("# Storks\n\nStorks left.\n")
    plan = run_json("plan", str(docs))
    assert (plan["changed"], plan["moved"], plan["unchanged"]) == (["a.md"], [["b.txt", "c.txt"]], 0)


def test_ingest_reports_by_the_contract(run_json, docs):
    report = run_json("ingest", str(docs), "--collection", "birds")
    assert {"run_id", "collection", "state", "release", "digest", "documents", "chunks", "seconds"} <= set(
        report
    )
    assert set(report["documents"]) == {
        "added", "changed", "moved", "deleted", "unchanged", "duplicate", "rejected", "partial"
    }  # fmt: skip
    assert report["chunks"] == {"total": 2, "reused": 0, "embedded": 2}
    assert {"total", "list", "parse", "embed", "write"} <= set(report["seconds"])
    assert (report["collection"], report["state"], report["release"]) == ("birds", "succeeded", 1)
    again = run_json("ingest", str(docs), "--collection", "birds")
    assert (again["state"], again["release"], again["digest"]) == ("unchanged", None, None)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "keyword"])
def test_search_hits_by_the_contract(run_json, docs, mode):
    run_json("ingest", str(docs))
    hits = run_json("search", "storks nest on chimneys", "-k", "1", "--mode", mode)["hits"]
    assert len(hits) == 1
    assert {
        "score", "uri", "source", "version", "release", "text", "page", "heading", "documents"
    } <= set(hits[0])  # fmt: skip
    assert (hits[0]["uri"], hits[0]["source"], hits[0]["version"]) == ("a.md", "docs", 1)
    assert (hits[0]["release"], hits[0]["documents"], hits[0]["heading"]) == (1, ["a.md"], "Storks")


@pytest.mark.parametrize("mode", ["hybrid", "vector", "keyword"])
def test_an_earlier_release_is_searched_by_number_or_time(run, run_json, docs, mode):
    run_json("ingest", str(docs))
    first = run_json("search", "where storks nest", "--mode", mode)
    (docs / "a.md").write_text("# Storks\n\nStorks left for the south.\n")
    run_json("ingest", str(docs))
    activated_at = run_json("history")["releases"][-1]["activated_at"]
    assert "south" in run_json("search", "where storks nest", "--mode", mode)["hits"][0]["text"]
    for reference in ("1", activated_at):
        assert run_json("search", "where storks nest", "--mode", mode, "--as-of", reference) == first
    _fails(run, "search", "storks", "--as-of", "9", code=2, says=["no release '9'", "revector history"])
    _fails(run, "search", "storks", "--as-of", "0", code=2, says=["no release '0'"])


def test_a_release_is_exported_by_the_contract(run, run_json, docs, tmp_path):
    _fails(run, "export", "-o", str(tmp_path / "x"), code=2, says=["no collection named 'default'"])
    report = run_json("ingest", str(docs))
    (docs / "b.txt").write_text("Herons fly.")
    run_json("ingest", str(docs))
    facts = run_json("export", "--output", str(tmp_path / "one"), "--release", "1")
    assert {"format", "collection", "number", "digest", "kind", "activated_at", "counts", "space"} < set(
        facts
    )
    assert (facts["number"], facts["digest"]) == (1, report["digest"])
    assert facts["counts"] == {"documents": 2, "places": 2, "chunks": 2}
    assert pd.read_parquet(tmp_path / "one" / "chunks.parquet").text.tolist()[1].startswith("Herons stand")
    code, out, err = run("export", "-o", str(tmp_path / "now"))
    assert (code, err) == (0, "")
    assert "Release 2" in out
    _fails(run, "export", "-o", str(tmp_path / "now"), code=2, says=["not an empty folder"])


def test_history_status_failures_and_collections_by_the_contract(run_json, docs):
    report = run_json("ingest", str(docs))
    release = run_json("history")["releases"][0]
    assert set(release) == {
        "number", "kind", "run_id", "activated_at", "digest", "documents", "chunks", "note", "missing",
        "vectors_purged", "tags",
    }  # fmt: skip
    assert (release["number"], release["kind"], release["run_id"]) == (1, "ingest", report["run_id"])
    assert (release["digest"], release["documents"], release["chunks"]) == (report["digest"], 2, 2)
    failure = run_json("failures")["failures"][0]
    assert {"uri", "stage", "error", "message", "run_id"} <= set(failure)
    assert (failure["uri"], failure["error"]) == ("empty.txt", "EmptyDocument")
    status = run_json("status")
    assert (status["release"], status["documents"], status["sources"][0]["name"]) == (1, 2, "docs")
    assert run_json("collections")["collections"][0]["name"] == "default"


def test_people_get_tables_and_results_stay_on_standard_output(run, docs):
    code, out, err = run("ingest", str(docs))
    assert code == 0
    assert "2 added" in out
    assert "2 embedded" in out
    for command in (
        ["status"],
        ["history"],
        ["failures"],
        ["collections"],
        ["search", "storks"],
        ["plan", str(docs)],
    ):
        code, out, err = run(*command)
        assert code == 0
        assert out.strip()
        assert err == ""


def test_doctor_says_what_works(run, docs):
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 0
    assert checks["database"]["ok"]
    assert "pgvector" in checks["database"]["detail"]
    assert checks["model of 'default' (documents)"]["ok"]
    assert {"gpu", "tesseract", "korean font", "prefect"} <= set(checks)


def _fails(run, *arguments, code, says):
    got, out, err = run(*arguments)
    assert got == code
    for part in says:
        assert part in err
    assert "Traceback" not in err
    return out


def test_a_missing_path_fails(run, docs):
    _fails(run, "ingest", "no/such/folder", code=2, says=["no/such/folder", "Check the path"])


def test_an_unknown_collection_fails_and_names_those_there_are(run, run_json, docs):
    run_json("ingest", str(docs))
    _fails(run, "search", "x", "-c", "nope", code=2, says=["'nope'", "There are: default"])


def test_an_unknown_configuration_key_fails_with_a_guess(run, docs, tmp_path):
    (tmp_path / "revector.toml").write_text("[collections.default]\nmodle = 'x'\n")
    _fails(run, "plan", str(docs), code=2, says=["collections.default.modle", "Did you mean model?"])


def test_an_unknown_environment_setting_fails_with_a_guess(run, docs, monkeypatch):
    monkeypatch.setenv("REVECTOR_DATABSE_URL", "x")
    _fails(run, "plan", str(docs), code=2, says=["REVECTOR_DATABSE_URL", "REVECTOR_DATABASE_URL?"])


def test_an_unreachable_database_fails_fast(run, docs, monkeypatch):
    monkeypatch.setenv("REVECTOR_DATABASE_URL", "postgresql://someone:hidden@127.0.0.1:9/nothing")
    out = _fails(run, "ingest", str(docs), "--json", code=1, says=["not available", "revector doctor"])
    assert json.loads(out)["error"]["class"] == "DatabaseUnavailable"
    assert json.loads(out)["error"]["retryable"] is True
    assert "hidden" not in out


def test_a_home_that_cannot_be_written_fails(run, docs, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REVECTOR_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("REVECTOR_DATABASE_URL")
    _fails(run, "ingest", str(docs), code=2, says=["cannot be written", "REVECTOR_HOME"])


def test_a_missing_model_fails_before_anything_is_written(run, docs, tmp_path):
    (tmp_path / "revector.toml").write_text("[collections.default]\nmodel = './no-model'\n")
    _fails(run, "ingest", str(docs), code=2, says=["no-model"])
    (tmp_path / "revector.toml").unlink()
    assert json.loads(run("collections", "--json")[1]) == {"collections": []}


def test_mass_deletion_lists_what_it_would_delete(run, run_json, docs):
    run_json("ingest", str(docs))
    for path in Path(docs).iterdir():
        path.unlink()
    out = _fails(run, "ingest", str(docs), "--json", code=3, says=["a.md", "--allow-deletions"])
    assert json.loads(out)["error"]["deleted"] == ["a.md", "b.txt"]
    report = run_json("ingest", str(docs), "--allow-deletions")
    assert report["documents"]["deleted"] == 2
    assert run_json("search", "storks")["hits"] == []


def test_an_empty_search_fails(run, run_json, docs):
    run_json("ingest", str(docs))
    _fails(run, "search", "  ", code=2, says=["empty"])


def test_a_prefect_server_that_does_not_answer_fails_with_advice(run, docs, monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        _fails(run, "ingest", str(docs), code=1, says=["does not answer", "unset PREFECT_API_URL"])


def test_purge_says_what_it_would_drop_and_then_drops_it(run, run_json, docs, tmp_path):
    (tmp_path / "revector.toml").write_text(
        "[collections.default.retention]\nkeep_versions = 0\nkeep_days = 0\ngrace_hours = 0\n"
    )
    run_json("ingest", str(docs))
    (docs / "b.txt").write_text("Herons stand on one leg.")
    run_json("ingest", str(docs))
    planned = run_json("purge", "--dry-run")
    assert (planned["dry_run"], planned["run_id"], planned["versions"]) == (
        True, None, {"kept": 2, "dropped": 1},
    )  # fmt: skip
    assert {item["uri"]: item["keep"] for item in planned["items"] if item["version"] == 1} == {
        "a.md": True, "b.txt": False,
    }  # fmt: skip
    code, out, _ = run("purge", "--dry-run")
    assert (code, "drop b.txt version 1: Not shown since" in out) == (0, True)
    done = run_json("purge")
    assert (done["versions"], done["chunks"], done["blobs"]) == ({"kept": 2, "dropped": 1}, 1, 1)
    assert set(done["bytes"]) == {"tables_before", "tables_after", "blobs_before", "blobs_after"}
    assert "0 versions dropped, 2 kept" in run("purge")[1]


def test_forget_prints_its_proof(run, run_json, docs):
    run_json("ingest", str(docs))
    code, _, err = run("forget", "c.txt")
    assert (code, "no document 'c.txt'" in err) == (2, True)
    assert run_json("forget", "b.txt", "--dry-run")["proof"]["documents"] == 1
    (docs / "b.txt").unlink()
    report = run_json("forget", "b.txt", "--source", "docs")
    assert (report["release"], set(report["proof"].values()), report["warnings"]) == (2, {0}, [])
    code, out, _ = run("forget", "a.md")
    assert (code, "0 documents" in out, "the next ingest adds it again" in out) == (0, True, True)
    assert run_json("search", "storks herons")["hits"] == []
