"""What the command line says of near-duplicates: who stands for whom, in which release, and why."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.texts import english_text, korean_text

FOOTER = " Printed from the archive, for use inside the company only."


@pytest.fixture
def two(run_json, docs):
    """Release 1 has a letter; in release 2 a longer copy stands for it, and there is a draft of another."""
    (docs / "letter.txt").write_text(english_text(20, seed=1))
    (docs / "편지.md").write_text(f"# 편지\n\n{korean_text(1500, seed=2)}")
    run_json("ingest", str(docs))
    (docs / "letter-copy.txt").write_text(english_text(20, seed=1) + FOOTER)
    (docs / "초안.md").write_text(f"---\ndraft: true\n---\n# 편지\n\n{korean_text(1500, seed=2)}")
    run_json("ingest", str(docs))
    return docs


def _configure(tmp_path, **values):
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    (tmp_path / "revector.toml").write_text(f"[collections.default.duplicates]\n{lines}\n")


def test_duplicates_are_listed_with_what_they_lost_by(two, run, run_json):
    found = run_json("duplicates")
    assert (found["collection"], found["release"]) == ("default", 2)
    assert [cluster["winner"] for cluster in found["clusters"]] == ["letter-copy.txt", "편지.md"]
    assert [cluster["source"] for cluster in found["clusters"]] == ["docs", "docs"]
    letter, draft = (cluster["members"][0] for cluster in found["clusters"])
    assert (letter["uri"], letter["suppressed"], letter["reason"][:6]) == ("letter.txt", True, "length")
    assert 0.8 < letter["similarity"] < 1
    assert (draft["uri"], draft["reason"][:9]) == ("초안.md", "published")
    _, out, _ = run("duplicates")
    assert out.startswith("2 near-duplicates of 2 documents in release 2 of collection default: 2 hidden")
    assert "letter-copy.txt\n  hidden " in out
    assert "초안.md  - published: this is a draft" in out


def test_each_release_has_its_own_and_an_empty_one_says_so(two, run, run_json):
    assert run_json("duplicates", "--release", "1")["clusters"] == []
    run_json("tag", "2", "봄")
    assert len(run_json("duplicates", "--release", "봄")["clusters"]) == 2
    _, out, _ = run("duplicates", "--release", "1")
    assert out == "No near-duplicates in release 1 of collection default.\n"
    code, _, err = run("duplicates", "--release", "9")
    assert (code, "no release '9'" in err) == (2, True)
    (two / "bad.txt").write_bytes(b"")
    run("ingest", str(two / "bad.txt"), "--collection", "other")
    assert run_json("duplicates", "-c", "other") == {"collection": "other", "release": None, "clusters": []}
    assert run("duplicates", "-c", "other")[1] == "Collection other has no release yet.\n"


def test_long_groups_are_shortened_for_people_and_sources_named_where_there_are_several(
    two, run, run_json, tmp_path
):
    (tmp_path / "more").mkdir()
    for number in range(20):
        (tmp_path / f"more/letter-{number:02}.txt").write_text(english_text(20, seed=1))
    run_json("ingest", str(tmp_path / "more"))
    _, out, _ = run("duplicates")
    assert "letter-copy.txt  (docs)\n" in out
    assert "letter-00.txt  (more)  - " in out
    assert "  ... and 6 more: --json lists all\n" in out
    _, out, _ = run("search", english_text(1, seed=1), "-k", "1")
    assert "near-duplicates: letter.txt, letter-00.txt, " in out or "near-duplicates: letter-00.txt, " in out
    assert out.rstrip().endswith("and 16 more")
    hit = run_json("search", english_text(1, seed=1), "-k", "1")["hits"][0]
    assert len(hit["duplicates"]) == 21


def test_a_hit_names_the_near_duplicates_of_what_it_is_shown_for(two, run, run_json):
    query = english_text(1, seed=1)
    hits = [hit for hit in run_json("search", query, "-k", "50")["hits"] if "letter" in hit["uri"]]
    assert {hit["uri"] for hit in hits} == {"letter-copy.txt"}
    assert {tuple(hit["duplicates"]) for hit in hits} == {("letter.txt",)}
    both, alone = ["letter-copy.txt", "letter.txt"], ["letter-copy.txt"]
    assert both in [hit["documents"] for hit in hits], "the hidden one contains this chunk too: it comes last"
    assert [hit["documents"] for hit in hits if "Printed" in hit["text"]] == [alone]
    _, out, _ = run("search", query, "-k", "1")
    assert "   near-duplicates: letter.txt\n" in out
    assert "also in" not in out
    before = run_json("search", query, "-k", "1", "--as-of", "1")["hits"][0]
    assert (before["uri"], before["duplicates"], before["documents"]) == ("letter.txt", [], ["letter.txt"])
    as_of = run_json("search", query, "-k", "50", "--as-of", "2")["hits"]
    assert as_of == run_json("search", query, "-k", "50")["hits"]


def test_a_flagged_duplicate_is_found_after_its_winner_and_named(two, run, run_json, tmp_path):
    _configure(tmp_path, policy="flag")
    plan = run_json("plan", str(two))
    assert (plan["reelect"], plan["changed"], plan["unchanged"]) == (True, [], 6)
    assert (
        "near-duplicates were elected by other settings: all documents are compared anew"
        in run("plan", str(two))[1]
    )
    _, out, _ = run("ingest", str(two))
    assert "  duplicates 2 shown again; see revector duplicates\n" in out
    assert run_json("plan", str(two))["reelect"] is False
    assert run_json("status")["duplicates"] == {"suppressed": 0, "flagged": 2}
    hit = run_json("search", english_text(1, seed=1), "-k", "1")["hits"][0]
    assert (hit["uri"], hit["documents"]) == ("letter-copy.txt", ["letter-copy.txt", "letter.txt"])
    assert hit["duplicates"] == ["letter.txt"]
    _, out, _ = run("duplicates")
    assert "0 hidden from search, 2 flagged" in out
    assert "  flagged " in out
    _, out, _ = run("diff", "2", "3")
    assert "0 added, 0 changed, 0 removed, 2 with another election; chunks 0 added" in out
    assert "  = letter.txt  still a duplicate of letter-copy.txt (length, flagged only)\n" in out


def test_reports_and_status_count_them(two, run, run_json):
    assert run_json("status")["duplicates"] == {"suppressed": 2, "flagged": 0}
    assert "Near-duplicates: 2 hidden, 0 flagged (revector duplicates)" in run("status")[1]
    (two / "letter-third.txt").write_text(english_text(20, seed=1))
    (two / "초안.md").unlink()
    code, out, _ = run("ingest", str(two))
    assert code == 0
    assert "  duplicates 1 of these is a near-duplicate of another, 1 hidden from search; see" in out
    assert "  chunks     0 searchable in these documents, 0 reused, 0 embedded\n" in out


def test_diff_says_who_was_elected_when_nothing_else_changed(two, run, run_json):
    diff = run_json("diff", "1", "2")
    elected = diff["elected"]
    assert [(d["uri"], d["old_winner"], d["new_winner"]) for d in elected] == [
        ("letter.txt", None, "letter-copy.txt")
    ]
    assert (elected[0]["was_suppressed"], elected[0]["suppressed"], elected[0]["rule"]) == (
        False, True, "length"
    )  # fmt: skip
    assert elected[0]["chunks_added"] == elected[0]["chunks_removed"] == 0
    assert elected[0]["similarity"] == run_json("duplicates")["clusters"][0]["members"][0]["similarity"]
    added = {document["uri"]: document for document in diff["added"]}
    assert (added["초안.md"]["new_winner"], added["초안.md"]["suppressed"]) == ("편지.md", True)
    assert added["letter-copy.txt"]["new_winner"] is None
    _, out, _ = run("diff", "1", "2")
    assert "1 -> 2: 2 added, 0 changed, 0 removed, 1 with another election; chunks " in out
    assert "  = letter.txt  now a duplicate of letter-copy.txt (length)\n" in out
    assert ")  now a duplicate of 편지.md (published)\n" in out
    _, out, _ = run("rollback", "--last", "--dry-run")
    assert "  = letter.txt  no longer a duplicate of letter-copy.txt, shown again\n" in out
    report = run_json("rollback", "--last")
    assert (report["hidden"], report["restored"], report["chunks"]["embedded"]) == (0, 1, 0)
    assert run_json("diff", "1", "3")["elected"] == []
    assert run_json("duplicates")["clusters"] == []


def test_diff_of_a_staged_run_says_it_too(two, run, run_json, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "storks"\ndocument = "none.txt"\nk = 1\n')
    (tmp_path / "revector.toml").write_text('[collections.default]\ngate = { canaries = "canaries.toml" }\n')
    (two / "letter-best.txt").write_text(english_text(20, seed=1) + FOOTER + FOOTER)
    code, out, _ = run("ingest", str(two), "--json")
    error = json.loads(out)["error"]
    assert (code, error["class"]) == (3, "GateFailed")
    diff = run_json("diff", error["run_id"])
    assert {d["uri"]: (d["old_winner"], d["new_winner"]) for d in diff["elected"]} == {
        "letter-copy.txt": (None, "letter-best.txt"),
        "letter.txt": ("letter-copy.txt", "letter-best.txt"),
    }
    assert run_json("duplicates")["clusters"][0]["winner"] == "letter-copy.txt"
    run_json("activate", error["run_id"])
    assert run_json("duplicates")["clusters"][0]["winner"] == "letter-best.txt"


def test_the_release_of_a_purged_document_has_no_groups_to_show(two, run, run_json, tmp_path):
    (tmp_path / "revector.toml").write_text(
        "[collections.default]\nretention = { keep_versions = 0, keep_days = 0, grace_hours = 0 }\n"
    )
    (two / "letter-copy.txt").unlink()
    run_json("ingest", str(two))
    report = run_json("purge")
    assert (report["versions"]["dropped"], report["signatures"]) == (1, 1)
    code, _, err = run("duplicates", "--release", "2")
    assert (code, "Release 2 cannot be shown any more" in err) == (2, True)
    assert run_json("check")["ok"]


def test_an_export_says_what_is_a_duplicate_of_what(two, run_json, tmp_path):
    facts = run_json("export", "--output", str(tmp_path / "out"))
    documents = pd.read_parquet(tmp_path / "out/documents.parquet").set_index("uri")
    assert facts["counts"]["documents"] == len(documents) == 6
    lost = documents[documents.duplicate_of.notna()]
    assert dict(lost.duplicate_of) == {"letter.txt": "letter-copy.txt", "초안.md": "편지.md"}
    assert set(lost.duplicate_of_source) == {"docs"}
    assert list(documents.suppressed) == list(documents.duplicate_of.notna())
    assert 0.8 < documents.similarity["letter.txt"] < documents.similarity["초안.md"] == 1
    assert documents.similarity.isna().sum() == 4
    places = pd.read_parquet(tmp_path / "out/chunks.parquet")
    assert set(places.uri) == set(documents.index[~documents.suppressed])
