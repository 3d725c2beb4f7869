"""The commands about images, as they are typed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.pictures import file

NAMES = ("고양이", "hat", "자동차")


@pytest.fixture
def things(tmp_path):
    """Class folders, a configuration, and two images to ask about."""
    (tmp_path / "revector.toml").write_text('[collections.things]\nmodel = "small-clip"\n')
    for name in NAMES:
        (tmp_path / "things" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "things" / name / f"{number}.png").write_bytes(file(name, number))
    (tmp_path / "new.png").write_bytes(file("hat", 77))
    (tmp_path / "odd.png").write_bytes(file("nothing like it", 1))
    return tmp_path / "things"


@pytest.fixture
def ingested(things, run_json):
    return run_json("ingest", str(things), "--kind", "images", "--collection", "things")


def test_plan_and_ingest_of_images(things, run, run_json):
    code, out, _ = run("plan", str(things), "--kind", "images", "--collection", "things")
    assert (code, "18 added" in out) == (0, True)
    report = run_json("ingest", str(things), "--kind", "images", "--collection", "things")
    assert report["documents"]["added"] == report["chunks"]["embedded"] == 18
    assert (report["prototypes"]["version"], report["prototypes"]["added"]) == (1, sorted(NAMES))
    code, out, _ = run("ingest", str(things), "--collection", "things")
    assert (code, "prototypes version 1: 3 classes, nothing changed" in out) == (0, True)


def test_classify_answers_a_class_or_unknown(ingested, run, run_json, tmp_path):
    paths = [str(tmp_path / "new.png"), str(tmp_path / "odd.png")]
    known, unknown = run_json("classify", *paths, "--collection", "things", "--top-k", "2")["results"]
    assert set(known) == {"path", "top_k", "verdict", "s1", "margin", "is_unknown"}
    assert (known["path"], known["verdict"], known["is_unknown"]) == (paths[0], "hat", False)
    assert known["top_k"][0][0] == "hat"
    assert len(known["top_k"]) == 2
    assert (unknown["verdict"], unknown["is_unknown"]) == ("unknown", True)
    code, out, _ = run("classify", paths[0], "--collection", "things")
    assert (code, out.startswith(f"{paths[0]}: hat  (hat ")) == (0, True)


def test_classify_names_what_it_cannot_read_and_fails(ingested, run, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    code, out, _ = run(
        "classify", str(bad), str(tmp_path), str(tmp_path / "new.png"), "--collection", "things", "--json"
    )
    results = json.loads(out)["results"]
    assert code == 1
    assert [result.get("error") for result in results] == ["ParseFailed", "FetchFailed", None]


def test_prototypes_are_shown_listed_rolled_back_and_exported(ingested, things, run, run_json, tmp_path):
    (things / "hat" / "9.png").write_bytes(file("hat", 9))
    run_json("ingest", str(things), "--collection", "things")
    code, out, _ = run("prototypes", "show", "--collection", "things", "--figure", str(tmp_path / "f.png"))
    assert (code, "**3 classes**" in out) == (0, True)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    rows = run_json("prototypes", "history", "--collection", "things")["prototypes"]
    assert [(row["version"], row["images"], row["in_use"]) for row in rows] == [(2, 19, True), (1, 18, False)]
    back = run_json("prototypes", "rollback", "--collection", "things")
    assert (back["version"], back["digest"]) == (3, rows[1]["digest"])
    facts = run_json("prototypes", "export", "--collection", "things", "--output", str(tmp_path / "out"))
    assert facts["classes"] == 3
    meta = json.loads((tmp_path / "out/prototypes.meta.json").read_text(encoding="utf-8"))
    assert (meta["domain"], meta["digest"], meta["release"]) == ("things", rows[1]["digest"], 1)
    with np.load(tmp_path / "out/prototypes.npz") as arrays:
        assert set(arrays.files) == set(NAMES)
    built = run_json("prototypes", "build", "--collection", "things", "--rebuild")
    assert (built["version"], built["changed"]) == (4, ["hat"])
    code, out, _ = run("prototypes", "history", "--collection", "things")
    assert (code, "rollback to version 1" in out) == (0, True)


def test_search_by_image_and_by_text(ingested, run, run_json, tmp_path):
    image = str(tmp_path / "new.png")
    hits = run_json("search", "--image", image, "--collection", "things", "-k", "4")["hits"]
    assert {hit["uri"].split("/")[0] for hit in hits} == {"hat"}
    hits = run_json("search", "고양이", "--collection", "things", "-k", "4")["hits"]
    assert {hit["uri"].split("/")[0] for hit in hits} == {"고양이"}
    hits = run_json("search", "hat", "--collection", "things", "--where", "class=hat", "-k", "9")["hits"]
    assert len(hits) == 6
    code, _, err = run("search", "hat", "--image", image, "--collection", "things")
    assert (code, "Leave one out" in err) == (2, True)


def test_questions_that_make_no_sense_get_a_clear_answer(things, docs, run, tmp_path):
    assert run("ingest", str(docs))[0] == 0
    image = str(tmp_path / "new.png")
    for arguments, words in (
        (("classify", image), "holds documents"),
        (("search", "--image", image), "holds documents"),
        (("prototypes", "show"), "holds documents"),
        (("ingest", str(things), "--kind", "images"), "holds documents, but --kind says images"),
        (("prototypes", "show", "--collection", "nothing"), "no collection"),
        (("ingest", str(things), "--kind", "films", "--collection", "x"), "films"),
    ):
        code, _, err = run(*arguments)
        assert (code, words in err) == (2, True), (arguments, err)
