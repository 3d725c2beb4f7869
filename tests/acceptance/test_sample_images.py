"""The sample images with the model that ships: prototypes, drawings by somebody else, things of no class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.conftest import ROOT, Cli

pytestmark = pytest.mark.model

IMAGES, QUERIES = ROOT / "samples" / "images", ROOT / "samples" / "queries"
CLASSES = {path.name for path in IMAGES.iterdir()}
OF_NO_CLASS = {"눈사람", "비행기", "피자"}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """The command line in a home of its own, and the report of the first ingest."""
    home = tmp_path_factory.mktemp("things")
    config = home / "revector.toml"
    config.write_text('[collections.things]\nkind = "images"\nmodel = "small-clip"\n')
    cli = Cli(home / "home", REVECTOR_CONFIG=str(config), HF_HUB_OFFLINE="1")
    return cli, cli.json("ingest", str(IMAGES), "--collection", "things")


def test_all_sample_images_are_indexed_and_every_class_has_a_prototype(things):
    _, report = things
    files = sum(1 for path in IMAGES.rglob("*") if path.is_file())
    assert report["documents"]["added"] == report["chunks"]["embedded"] == files
    assert report["documents"]["rejected"] == report["documents"]["duplicate"] == 0
    assert set(report["prototypes"]["added"]) == CLASSES


def test_drawings_by_somebody_else_are_recognised_and_things_of_no_class_unknown(things):
    cli, _ = things
    paths = sorted(QUERIES.glob("*.png"))
    results = cli.json("classify", *map(str, paths), "--collection", "things")["results"]
    verdicts = {Path(result["path"]).stem: result["verdict"] for result in results}
    assert {name: verdict for name, verdict in verdicts.items() if name in CLASSES} == {
        name: name for name in CLASSES
    }
    assert {name for name, verdict in verdicts.items() if verdict == "unknown"} == OF_NO_CLASS


@pytest.mark.parametrize(
    ("text", "name"), [("bicycle", "자전거"), ("umbrella", "우산"), ("물고기", "물고기")]
)
def test_texts_find_images(things, text, name):
    cli, _ = things
    hits = cli.json("search", text, "--collection", "things", "-k", "3")["hits"]
    assert {hit["uri"].split("/")[0] for hit in hits} == {name}


def test_the_serving_side_needs_numpy_and_two_files(things, tmp_path):
    cli, _ = things
    cli.json("prototypes", "export", "--collection", "things", "--output", str(tmp_path / "out"))
    meta = json.loads((tmp_path / "out/prototypes.meta.json").read_text(encoding="utf-8"))
    with np.load(tmp_path / "out/prototypes.npz") as arrays:
        assert set(arrays.files) == set(meta["classes"]) == CLASSES
        vectors = np.stack([arrays[name] for name in meta["classes"]])
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert meta["model"]["name"] == "small-clip"
    assert meta["statistics"]["total_classes"] == len(CLASSES)
