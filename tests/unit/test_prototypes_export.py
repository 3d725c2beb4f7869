import hashlib
import json
import os
import resource
import tempfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError, OutputNotWritable, SourceNotFound
from schemas.exact_sum import mean_vector
from schemas.prototype import Prototype, PrototypeSet, Thresholds, set_digest
from schemas.settings import PrototypeSettings
from tasks.prototypes.export import META, NPZ, export_prototypes, load_export
from tests.prototypes import build_prototypes, make_members

MODEL = EmbeddingSpace("image", "open_clip", "ViT-B-32", "rev1", 16)
THRESHOLDS = Thresholds(0.61, 0.05)


def make_set(names=("강아지", "고양이", "토끼"), *, k=1, seed=0, made=None):
    members = make_members([6] * len(names), names=names, seed=seed)
    prototypes, _ = build_prototypes(members, PrototypeSettings(k=k))
    digest = set_digest([one.hash(b"space") for one in prototypes], THRESHOLDS)
    return PrototypeSet(
        version=3, release=7, release_digest=b"r" * 32, seen_release=7, space_id=1, settings=b"s" * 32,
        thresholds=THRESHOLDS, digest=digest, report={}, created_at=made, prototypes=prototypes,
    )  # fmt: skip


def export(folder, chosen):
    export_prototypes(folder, chosen, domain="animals", model=MODEL)


def named(*names):
    vector = np.array([1.0, 0.0], np.float32)
    prototypes = tuple(
        Prototype(n, 1, np.array([2**40, 0]), vector[None] * (-1) ** i) for i, n in enumerate(names)
    )
    return replace(make_set(), prototypes=prototypes)


def listing(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_plain_numpy_reads_each_class_by_its_name(tmp_path):
    chosen = make_set()
    export(tmp_path / "new" / "out", chosen)
    with np.load(tmp_path / "new" / "out" / NPZ, allow_pickle=False) as arrays:
        assert arrays.files == ["강아지", "고양이", "토끼"]
        for one in chosen.prototypes:
            assert arrays[one.name].dtype == np.float32
            assert arrays[one.name].tobytes() == one.vectors[0].tobytes()


def test_the_facts_stand_beside(tmp_path):
    export(tmp_path, make_set(made=datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)))
    meta = json.loads((tmp_path / META).read_text(encoding="utf-8"))
    assert meta == {
        "format": 1,
        "domain": "animals",
        "classes": ["강아지", "고양이", "토끼"],
        "images": {"강아지": 6, "고양이": 6, "토끼": 6},
        "model": {"name": "ViT-B-32", "revision": "rev1", "dim": 16, "provider": "open_clip"},
        "thresholds": {"tau1": 0.61, "tau2": 0.05},
        "statistics": {"total_classes": 3, "embedding_dim": 16, "avg_samples_per_class": 6.0},
        "release": 7,
        "digest": make_set().digest.hex(),
        "created_at": "2026-11-20T01:02:03+00:00",
        "sha256": hashlib.sha256((tmp_path / NPZ).read_bytes()).hexdigest(),
    }
    assert "강아지" in (tmp_path / META).read_text(encoding="utf-8")


def test_several_vectors_of_a_class_are_all_there(tmp_path):
    chosen = make_set(k=2)
    assert {len(one.vectors) for one in chosen.prototypes} == {2}
    export(tmp_path, chosen)
    with np.load(tmp_path / NPZ, allow_pickle=False) as arrays:
        assert arrays["__classes"].tolist() == ["강아지", "고양이", "토끼"]
        assert arrays["__owners"].tolist() == [0, 0, 1, 1, 2, 2]
        assert arrays["__owners"].dtype == np.int64
        for index, one in enumerate(chosen.prototypes):
            assert arrays["__vectors"][arrays["__owners"] == index].tobytes() == one.vectors.tobytes()
            assert arrays[one.name].tobytes() == mean_vector(one.sum).tobytes()
    read = load_export(tmp_path)
    assert read.vectors.tobytes() == b"".join(one.vectors.tobytes() for one in chosen.prototypes)
    assert list(read.directions) == ["강아지", "고양이", "토끼"]


def test_one_vector_a_class_is_read_back_the_same_way(tmp_path):
    chosen = make_set()
    export(tmp_path, chosen)
    read = load_export(tmp_path)
    assert read.owners.tolist() == [0, 1, 2]
    assert read.vectors.tobytes() == b"".join(one.vectors.tobytes() for one in chosen.prototypes)
    assert read.meta["domain"] == "animals"


def test_equal_sets_make_equal_files(tmp_path):
    chosen = make_set(k=2)
    export(tmp_path / "a", chosen)
    export(tmp_path / "b", replace(chosen, prototypes=chosen.prototypes[::-1]))
    assert listing(tmp_path / "a") == listing(tmp_path / "b")
    export(tmp_path / "b", replace(chosen, created_at=datetime(2026, 1, 1, tzinfo=UTC)))
    one, other = (json.loads((tmp_path / name / META).read_text()) for name in "ab")
    assert {key for key in one if one[key] != other[key]} == {"created_at"}
    with zipfile.ZipFile(tmp_path / "a" / NPZ) as archive:
        assert {(i.date_time, i.create_system, i.compress_type) for i in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 3, 0)
        }


@given(st.sets(st.text(max_size=12), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_name_is_read_back_or_refused(names):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda handle: None
        )  # nobody pulls the plug, and it takes most of the time
        folder = Path(place) / "out"
        try:
            export(folder, named(*sorted(names)))
        except ConfigurationError:
            assert any(
                not n or n.startswith("__") or n.endswith(".npy") or "\0" in n or "\\" in n for n in names
            )
            assert not folder.exists()
            return
        with np.load(folder / NPZ, allow_pickle=False) as arrays:
            for index, name in enumerate(sorted(names)):
                assert arrays[name].tolist() == [(-1) ** index, 0]


NAMES = [
    "file",
    "a/b",
    "a",
    "..",
    "../x",
    "self",
    "a b",
    "a.",
    ".npz",
    "x" * 255,
    "가" * 85,
    "arr_0",
    "a_",
    "_a",
    "🐶",
]


def test_names_that_break_savez_are_read_back(tmp_path):
    export(tmp_path, named(*sorted(NAMES)))
    assert sorted(listing(tmp_path)) == [META, NPZ]
    with np.load(tmp_path / NPZ, allow_pickle=False) as arrays:
        assert [arrays[name].tolist() for name in sorted(NAMES)] == [
            [(-1) ** index, 0] for index in range(len(NAMES))
        ]


@pytest.mark.parametrize("name", ["", "__x", "__vectors", "a.npy", "a\0b", "a\\b", "x" * 5000, "\ud800"])
def test_names_that_numpy_would_not_find_are_refused(tmp_path, name):
    export(tmp_path, make_set())
    before = listing(tmp_path)
    with pytest.raises(ConfigurationError, match="Rename its folder"):
        export(tmp_path, named("a", name))
    assert listing(tmp_path) == before


def test_a_set_without_classes_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Build the prototypes first"):
        export(tmp_path / "out", replace(make_set(), prototypes=()))
    assert not (tmp_path / "out").exists()


def test_an_export_takes_the_place_of_the_one_before(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    export(tmp_path, make_set(seed=1))
    with np.load(tmp_path / NPZ) as open_before:
        export(tmp_path, make_set(["가", "나"], seed=2))
        assert open_before["토끼"].shape == (16,)  # who has it open keeps it
    assert sorted(listing(tmp_path)) == ["mine.txt", META, NPZ]
    assert load_export(tmp_path).meta["classes"] == ["가", "나"]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_crash_leaves_the_old_pair_or_one_that_is_known_not_to_fit(tmp_path, monkeypatch, failing):
    export(tmp_path, make_set(seed=1))
    before = listing(tmp_path)
    calls = []

    def die(name):
        plain = getattr(os, name)

        def call(*args, **options):
            calls.append(name)
            if len(calls) == failing:
                raise KeyboardInterrupt
            return plain(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", die("fsync"))
        patch.setattr(os, "replace", die("replace"))
        with pytest.raises(KeyboardInterrupt):
            export(tmp_path, make_set(seed=2))
    assert len(calls) == failing
    assert sorted(listing(tmp_path)) == [META, NPZ]
    if failing <= 3:
        assert listing(tmp_path) == before
    else:
        with pytest.raises(ConfigurationError, match="export again"):
            load_export(tmp_path)
    export(tmp_path, make_set(seed=2))
    assert load_export(tmp_path).meta["digest"] == make_set(seed=2).digest.hex()


def test_a_full_disk_leaves_the_old_pair(tmp_path):
    export(tmp_path, make_set(seed=1))
    before = listing(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # a file larger than that fails to grow
    try:
        with pytest.raises(OutputNotWritable, match="make room"):
            export(tmp_path, make_set(seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert listing(tmp_path) == before


def test_a_folder_without_permission_is_named():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        folder.mkdir()
        user = os.geteuid()
        Path(place).chmod(0o755)
        folder.chmod(0o555)
        try:
            if user == 0:  # who may write everywhere
                os.seteuid(65534)
            with pytest.raises(OutputNotWritable, match=r"out \(Permission denied\)"):
                export(folder, make_set())
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
        assert listing(folder) == {}


@pytest.mark.parametrize("name", [NPZ, META])
def test_something_in_the_way_is_named(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputNotWritable, match="cannot be written"):
            export(folder, make_set())
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(OutputNotWritable, match=f"{name} is a folder"):
        export(tmp_path / "out", make_set())
    assert listing(tmp_path / "out") == {}


def test_what_is_no_export_is_not_read(tmp_path):
    with pytest.raises(SourceNotFound, match="Export them again"):
        load_export(tmp_path)
    export(tmp_path, make_set())
    for content in ("{", "[]", "{}", "1"):
        (tmp_path / META).write_text(content)
        with pytest.raises(SourceNotFound, match="Export them again"):
            load_export(tmp_path)


def test_a_later_format_is_not_guessed_at(tmp_path):
    export(tmp_path, make_set())
    meta = json.loads((tmp_path / META).read_text())
    (tmp_path / META).write_text(json.dumps({**meta, "format": 2}))
    with pytest.raises(ConfigurationError, match="holds format 2"):
        load_export(tmp_path)
