"""`revector search --where`, and facts from paths, by the command line's contract."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def filled(run_json, tmp_path):
    """Four documents about herons, two of them Korean, by different people."""
    folder = tmp_path / "files"
    texts = {
        "hr/a.md": "---\nauthor: Kim\ndate: 2026-04-17\ntags: [hr]\nlang: en\nDepartment: HR\n---\nHerons.",
        "hr/b.md": "---\nauthor: Lee\ndate: 2026-05-02\ntags: [law, hr]\n---\nHerons fly over the river.",
        "인사/c.md": "---\n작성자: 김민수\n작성일: 2025. 12. 31.\n부서: 인사팀\n---\n왜가리 heron 물가.",
        "d.txt": "Herons sleep on one leg at night.",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    run_json("ingest", str(folder))
    return folder


def _uris(found):
    return sorted(hit["uri"] for hit in found["hits"])


NARROWED = [
    (["author=kim"], ["hr/a.md"]),
    (["author=Kim|Lee"], ["hr/a.md", "hr/b.md"]),
    (["author!=Kim"], ["d.txt", "hr/b.md", "인사/c.md"]),
    (["author~민수"], ["인사/c.md"]),
    (["date>=2026-01-01"], ["hr/a.md", "hr/b.md"]),
    (["date=2026-04"], ["hr/a.md"]),
    (["date>2026-04", "tag=hr"], ["hr/b.md"]),
    (["date<2026"], ["인사/c.md"]),
    (["tag=hr", "tag=law"], ["hr/b.md"]),
    (["language=ko"], ["인사/c.md"]),
    (["path=hr/**"], ["hr/a.md", "hr/b.md"]),
    (["path=*.txt"], ["d.txt"]),
    (["field.department=hr"], ["hr/a.md"]),
    (["field.부서~인사"], ["인사/c.md"]),
    (["source=files", "format=text"], ["d.txt"]),
    (["title=d"], ["d.txt"]),
    (["author=nobody"], []),
]


def test_a_search_is_narrowed(filled, run_json):
    for number, (where, uris) in enumerate(NARROWED):
        options = [part for text in where for part in ("--where", text)]
        mode = ("hybrid", "vector")[number % 2]
        assert _uris(run_json("search", "herons", "-k", "10", "--mode", mode, *options)) == uris, where


def test_the_json_shows_the_conditions_and_what_is_known_of_each_document(filled, run_json):
    found = run_json("search", "herons", "--where", "author=Kim", "--where", "date>=2026-04-01")
    assert found["where"] == [
        {"field": "author", "operator": "=", "values": ["Kim"]},
        {"field": "date", "operator": ">=", "values": ["2026-04-01"]},
    ]
    (hit,) = found["hits"]
    known = {key: hit[key] for key in ("author", "date", "language", "tags", "format")}
    assert known == {
        "author": "Kim",
        "date": "2026-04-17T00:00:00+00:00",
        "language": "en",
        "tags": ["hr"],
        "format": "markdown",
    }
    assert run_json("search", "herons")["where"] == []


def test_an_earlier_release_is_filtered_by_what_it_knew(filled, run_json):
    text = (filled / "hr/a.md").read_text()
    (filled / "hr/a.md").write_text(text.replace("Kim", "Park"))
    assert run_json("ingest", str(filled))["release"] == 2
    kim = ["search", "herons", "--where", "author=Kim"]
    assert _uris(run_json(*kim)) == []
    assert _uris(run_json(*kim, "--as-of", "1")) == ["hr/a.md"]
    assert _uris(run_json("search", "herons", "--where", "author=park")) == ["hr/a.md"]


def test_a_wrong_condition_is_a_configuration_error_that_lists_what_there_is(run):
    for where in ("colour=red", "author>Kim", "date=soon", "author", "tag="):
        code, out, err = run("search", "herons", "--where", where, "--json")
        error = json.loads(out)["error"]
        assert (code, error["class"]) == (2, "ConfigurationError")
        assert "Write a year" in error["advice"] or "field.NAME" in error["advice"]
        assert error["message"] in err


def test_people_see_that_nothing_was_found(filled, run):
    code, out, _ = run("search", "herons", "--where", "author=nobody")
    assert (code, out.strip()) == (0, "Nothing found.")


def test_templates_read_paths_and_a_change_of_them_reads_all_again(filled, run_json, tmp_path):
    config = tmp_path / "revector.toml"
    config.write_text('[collections.default.metadata]\npaths = ["{department}/{author}.md"]\n')
    report = run_json("ingest", str(filled))
    # the fingerprint says that all may be other, the digest of their facts which ones are
    assert (report["state"], report["chunks"]["embedded"]) == ("succeeded", 0)
    assert _uris(run_json("search", "herons", "--where", "field.department=인사")) == ["인사/c.md"]
    assert _uris(run_json("search", "herons", "--where", "field.department=HR")) == ["hr/a.md", "hr/b.md"]
    assert _uris(run_json("search", "herons", "--where", "author=b")) == []
    assert run_json("ingest", str(filled))["state"] == "unchanged"
    config.write_text('[collections.default.metadata]\npaths = ["{department!}/{author!}.md"]\n')
    run_json("ingest", str(filled))
    assert _uris(run_json("search", "herons", "--where", "author=b")) == ["hr/b.md"]
    config.write_text("")
    run_json("ingest", str(filled))
    assert _uris(run_json("search", "herons", "--where", "author=b")) == []
    assert _uris(run_json("search", "herons", "--where", "author=Kim")) == ["hr/a.md"]
