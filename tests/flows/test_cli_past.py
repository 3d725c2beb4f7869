"""The commands on the history by their contract: diff, tag, rollback, activate."""

from __future__ import annotations

import json

import pytest

from flows import cli


@pytest.fixture
def two(run_json, docs):
    """Release 1 has a.md and b.txt; in release 2 b.txt has changed and c.txt is new."""
    run_json("ingest", str(docs))
    (docs / "b.txt").write_text("Herons stand in the river.")
    (docs / "c.txt").write_text("Cranes dance in spring.")
    run_json("ingest", str(docs))
    return docs


def test_diff_names_documents_and_counts_chunks(two, run, run_json):
    diff = run_json("diff", "1", "2")
    assert (diff["from"], diff["to"], diff["removed"]) == ("1", "2", [])
    assert [document["uri"] for document in diff["added"]] == ["c.txt"]
    assert diff["changed"] == [
        {
            "source": "docs",
            "uri": "b.txt",
            "old_version": 1,
            "new_version": 2,
            "chunks_added": 1,
            "chunks_removed": 1,
            "chunks_kept": 0,
            "old_winner": None,
            "new_winner": None,
            "was_suppressed": False,
            "suppressed": False,
            "rule": None,
            "similarity": None,
        }
    ]
    assert diff["chunks"] == {"added": 2, "removed": 1}
    _, out, _ = run("diff", "1")
    assert "1 -> 2: 1 added, 1 changed, 0 removed; chunks 2 added, 1 removed" in out
    assert "~ b.txt  (version 1 -> 2; chunks +1 -1 =0)" in out


def test_rollback_reports_as_an_ingest_does(two, run, run_json):
    preview = run_json("rollback", "--last", "--dry-run")
    assert [document["uri"] for document in preview["removed"]] == ["c.txt"]
    report = run_json("rollback", "--last")
    assert (report["state"], report["release"], report["held"]) == ("succeeded", 3, 2)
    assert (report["documents"]["changed"], report["documents"]["deleted"]) == (1, 1)
    assert report["chunks"]["embedded"] == 0
    releases = run_json("history")["releases"]
    assert releases[0]["digest"] == releases[2]["digest"] == report["digest"]
    assert (releases[0]["kind"], releases[0]["note"]) == ("rollback", "to release 1")
    assert run_json("plan", str(two))["held"] == ["b.txt", "c.txt"]
    assert run_json("status")["held"] == 2
    assert run_json("ingest", str(two))["release"] is None
    assert run_json("ingest", str(two), "--reapply")["digest"] == releases[1]["digest"]
    _, out, _ = run("rollback", "--to", "1")
    assert "held       2 documents" in out


def test_one_document_goes_back(two, run, run_json):
    assert run_json("rollback", "--document", "b.txt", "--dry-run")["version"] == 1
    assert run_json("rollback", "--document", "b.txt", "--version", "1")["documents"]["changed"] == 1
    assert run_json("search", "herons")["hits"][0]["text"] == "Herons stand in the water."
    assert run_json("search", "cranes")["hits"][0]["uri"] == "c.txt"


def test_tags_name_releases_everywhere(two, run, run_json):
    assert run_json("tag", "1", "봄 점검")["release"] == 1
    assert run_json("history")["releases"][1]["tags"] == ["봄 점검"]
    assert run_json("diff", "봄 점검")["from"] == "1"
    assert run_json("rollback", "--to", "봄 점검")["release"] == 3
    _, out, _ = run("history")
    assert "tag 봄 점검" in out
    assert run_json("tag", "--delete", "봄 점검") == {
        "collection": "default", "release": 1, "tag": "봄 점검", "deleted": True
    }  # fmt: skip
    assert run_json("history")["releases"][2]["tags"] == []


def test_a_release_that_its_canaries_hold_back_is_looked_at_and_shown(two, run, run_json, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "cranes"\ndocument = "c.txt"\nk = 1\n')
    (tmp_path / "revector.toml").write_text('[collections.default]\ngate = { canaries = "canaries.toml" }\n')
    (two / "c.txt").write_text("Nothing is here any more.")
    (two / "d.txt").write_text("Cranes are also machines.")
    code, out, err = run("ingest", str(two), "--json")
    error = json.loads(out)["error"]
    assert (code, error["class"]) == (3, "GateFailed")
    assert f"revector diff {error['run_id']}" in err
    assert run_json("status")["last_run"]["state"] == "staged"
    assert [document["uri"] for document in run_json("diff", error["run_id"])["added"]] == ["d.txt"]
    assert run_json("search", "cranes")["hits"][0]["uri"] == "c.txt"
    report = run_json("activate", error["run_id"])
    assert (report["state"], report["release"]) == ("succeeded", 3)
    assert run_json("search", "cranes")["hits"][0]["uri"] == "d.txt"
    code, _, err = run("activate", error["run_id"], "--discard")
    assert (code, "is succeeded, not staged" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rollback"], "Give one of --to RELEASE"),
        (["rollback", "--last", "--to", "1"], "Give one of --to RELEASE"),
        (["rollback", "--last", "--version", "1"], "Add --document URI"),
        (["rollback", "--to", "99999999999999"], "no release"),
        (["rollback", "--to", "-1"], "no release"),
        (["rollback", "--to", ""], "no release"),
        (["rollback", "--document", ""], "never showed"),
        (["rollback", "--document", "b.txt\x00"], "NUL character. Leave it out"),
        (["rollback", "--last", "--collection", "other"], "There are: default"),
        (["diff", "1", "nonsense"], "`revector history`"),
        (["diff", "00000000-0000-0000-0000-000000000000"], "holds nothing staged"),
        (["tag", "1"], "revector tag 3 NAME"),
        (["tag", "7", "x"], "no release"),
        (["tag", "1", "12"], "cannot be a tag"),
        (["tag", "--delete", "x"], "no tag"),
        (["activate", "x"], "no run id"),
        (["activate", "00000000-0000-0000-0000-000000000000"], "has no run"),
    ],
)
def test_wrong_calls_say_what_to_do(two, run, arguments, says):
    code, out, err = run(*arguments, "--json")
    assert (code, says in err) == (2, True), err
    assert json.loads(out)["error"]["advice"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan"], "Missing"),
        (["rollback", "--version", "x"], "'--version'"),
        (["history", "-n", "0"], "greater than or equal to 1"),
        (["nosuch"], "No such command 'nosuch'"),
        (["status", "--nosuch"], "--nosuch"),
    ],
)
def test_a_call_that_cannot_be_understood_answers_in_json_too(arguments, says, capsys):
    assert cli.run([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert says in error["message"]
    assert (error["class"], "--help" in error["advice"]) == ("ConfigurationError", True)
    assert err.startswith("error: ")


def test_ctrl_c_answers_in_json_too(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.commands.shared.open_session", interrupt)
    assert cli.run(["status", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "Interrupted."
