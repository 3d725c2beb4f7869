"""`revector check` on the command line: one document for programs, a list for people, the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.connection import connect_admin
from schemas.check import FULL, QUICK


@pytest.fixture
def docs(tmp_path, run):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("Storks nest on chimneys.")
    (folder / "b.txt").write_text("Herons stand in the water.")
    assert run("ingest", str(folder))[0] == 0
    return folder


def _break(url, statement):
    with connect_admin(url) as admin:
        assert admin.execute(statement).rowcount == 1


def test_a_sound_collection_by_the_contract(run, docs):
    code, out, err = run("check", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["ok"], report["problems"], report["repaired"]) == (True, [], [])
    assert (report["collection"], report["release"], report["hnsw_recall"]) == ("default", 1, None)
    assert report["orphans"] == {"chunks": 0, "signatures": 0, "blobs": 0, "bytes": 0}
    assert report["checked"]["blobs"] == 2
    quick = json.loads(run("check", "--quick", "--json")[1])
    assert (quick["ok"], quick["quick"], quick["orphans"]) == (True, True, None)


def test_problems_end_with_exit_code_1_and_a_repair_with_0(run, docs, database_url):
    _break(database_url, "DELETE FROM vectors_1 WHERE chunk_id = 1")
    code, out, _ = run("check", "--quick", "--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (1, False)
    assert [problem["invariant"] for problem in report["problems"]] == ["visible chunks have vectors"]
    assert all({"invariant", "detail", "advice"} == set(problem) for problem in report["problems"])
    code, out, _ = run("check", "--repair", "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["problems"]) == (0, True, [])
    assert report["repaired"] == [
        {"invariant": "visible chunks have vectors", "detail": "1 chunks embedded again"}
    ]
    assert json.loads(run("search", "storks", "--mode", "vector", "-k", "1", "--json")[1])["hits"]


def test_people_read_what_was_checked_and_what_to_do(run, docs, database_url):
    code, out, _ = run("check")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("ok ")] == [
        f"ok     {name}" + (" (there is no index: search is exact)" if "index" in name else "")
        for name in FULL
    ]
    _break(database_url, "UPDATE release SET chunks = 7")
    code, out, _ = run("check", "--quick")
    assert code == 1
    assert "FAIL   release counts equal the recount: 2 documents and 7 chunks stored, 2 and 2 counted" in out
    assert "Roll back to a sound release" in out
    assert out.count("ok  ") == len(QUICK) - 1


def test_an_unknown_collection_fails_before_anything_is_checked(run, docs):
    code, out, err = run("check", "-c", "nope", "--json")
    assert code == 2
    assert json.loads(out)["error"]["class"] == "CollectionNotFound"
    assert "There are: default" in err


def test_every_problem_is_in_the_runbook():
    text = (Path(__file__).parents[2] / "docs/RUNBOOK.md").read_text(encoding="utf-8")
    section = text.split("## The check finds a problem")[1].split("\n## ")[0]
    assert [name for name in FULL if f"`{name}`" not in section] == []
