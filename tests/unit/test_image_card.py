import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import tasks.embedding.image_card
from schemas.errors import ModelNotAvailable
from tasks.embedding.image_card import SHORT_NAMES, SMALL_IMAGE_MODEL, resolve_image_model
from tasks.embedding.image_files import WEIGHT_FILES, choose_weights, read_image_model_files
from tests.unit.test_embedding_card import serve_hub

NAME = SHORT_NAMES["ViT-B-32"]
CONFIG = {
    "model_cfg": {
        "embed_dim": 48,
        "vision_cfg": {"image_size": 96, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 16},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.4, 0.3],
        "std": 0.25,
        "interpolation": "bilinear",
        "resize_mode": "longest",
        "fill_color": 255,
    },
}


def write_config(folder: Path, config: object) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def changed(path: str, value: object) -> dict:
    config = json.loads(json.dumps(CONFIG))
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An open_clip folder whose weights are whole, and of no model."""
    target = tmp_path / "my-clip"
    target.mkdir()
    write_config(target, CONFIG)
    save_file({"weight": np.arange(64, dtype=np.float32)}, target / "open_clip_model.safetensors")
    return target


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Point the hub elsewhere, with an empty cache and no proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def resolve(endpoint: str, name: str = NAME):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        return resolve_image_model(name, cache_dir=tmp_path / "cache")

    return resolve


def test_card_holds_what_the_files_say(folder):
    card = resolve_image_model(str(folder))
    assert (card.name, card.dim, card.image_size) == ("my-clip", 48, (96, 96))
    assert (card.mean, card.std) == ((0.5, 0.4, 0.3), (0.25, 0.25, 0.25))
    assert (card.interpolation, card.resize_mode, card.fill_color) == ("bilinear", "longest", 255)


def test_what_the_files_do_not_say_is_as_the_library_has_it(folder):
    from open_clip.transform import PreprocessCfg

    config = {"model_cfg": {"embed_dim": 48, "vision_cfg": {}, "text_cfg": {}}}
    write_config(folder, config)
    card, default = resolve_image_model(str(folder)), PreprocessCfg()
    assert card.image_size == (default.size, default.size)
    assert (card.mean, card.std) == (default.mean, default.std)
    assert (card.interpolation, card.resize_mode) == (default.interpolation, default.resize_mode)
    assert card.fill_color == default.fill_color


def test_image_space_is_none_of_texts_and_names_no_place(folder, tmp_path):
    space = resolve_image_model(str(folder)).space()
    assert (space.modality, space.model, space.dim) == ("image", "my-clip", 48)
    assert space.provider.startswith("open_clip")
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "my-clip")
    assert resolve_image_model(f"local-dir:{moved}").space() == space
    assert str(tmp_path) not in repr(space)


@pytest.mark.parametrize("path", ["preprocess_cfg.std", "model_cfg.text_cfg.context_length"])
def test_other_preprocessing_is_another_space(folder, path):
    before = resolve_image_model(str(folder)).space()
    write_config(folder, changed(path, 0.75))
    assert resolve_image_model(str(folder)).space().fingerprint != before.fingerprint


def test_other_rules_of_decoding_are_another_space(folder, monkeypatch):
    before = resolve_image_model(str(folder)).space()
    monkeypatch.setattr("tasks.embedding.image_card.DECODING_VERSION", 2)
    assert resolve_image_model(str(folder)).space().fingerprint != before.fingerprint


def test_resolving_imports_no_framework(folder):
    code = (
        "import sys\n"
        "from tasks.embedding.resolve import load_embedder, resolve_card\n"
        "import tasks.embedding.image, tasks.embedding.decoding\n"
        "resolve_card('images', sys.argv[1])\n"
        "heavy = {'torch', 'open_clip', 'timm', 'PIL', 'transformers', 'huggingface_hub', 'torchvision'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_small_model_ships_with_the_project_and_needs_no_hub(tmp_path, monkeypatch):
    (tmp_path / "models" / "small_clip").mkdir(parents=True)  # somebody's own folder is not looked at
    monkeypatch.chdir(tmp_path)
    card = resolve_image_model(SMALL_IMAGE_MODEL)
    assert (card.name, card.dim, card.image_size) == ("small-clip", 512, (160, 160))
    assert card.revision.startswith("sha256:")


def test_installation_without_the_small_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.embedding.image_card, "SMALL_FOLDER", tmp_path / "nothing")
    with pytest.raises(ModelNotAvailable, match="local-dir:"):
        resolve_image_model(SMALL_IMAGE_MODEL)


def _lose_weights(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()


def _cut_weights(folder: Path) -> None:
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])


def _only_pth(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.pth")


def _text_model(folder: Path) -> None:
    (folder / "open_clip_config.json").unlink()
    (folder / "modules.json").write_text("[]")


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        (lambda f: (f / "open_clip_config.json").unlink(), "it is no open_clip model"),
        (_text_model, "it is a text model"),
        (lambda f: (f / "open_clip_config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "open_clip_config.json").write_bytes(b"\xff\xfe{}"), "cannot be read"),
        (lambda f: write_config(f, []), "no CLIP model"),
        (lambda f: write_config(f, {"hidden_size": 3}), "no CLIP model"),
        (lambda f: write_config(f, changed("model_cfg.vision_cfg", None)), "no image and text tower"),
        (lambda f: write_config(f, changed("model_cfg.embed_dim", "48")), "embed_dim"),
        (lambda f: write_config(f, changed("model_cfg.vision_cfg.image_size", 0)), "image_size"),
        (lambda f: write_config(f, changed("preprocess_cfg.mean", [1, 2])), "cannot be used"),
        (lambda f: write_config(f, changed("preprocess_cfg.std", [1, 0, 1])), "std"),
        (lambda f: write_config(f, changed("preprocess_cfg.resize_mode", "tile")), "resize_mode"),
        (lambda f: write_config(f, changed("preprocess_cfg.interpolation", "sinc")), "sinc"),
        (
            lambda f: write_config(
                f, changed("model_cfg.text_cfg.tokenizer_kwargs", {"trust_remote_code": True})
            ),
            "no model code is run",
        ),
        (_lose_weights, "no weights"),
        (_cut_weights, "damaged or cut short"),
        (_only_pth, "save them as safetensors"),
    ],
)
def test_unusable_folder_says_why_and_what_to_do(folder, breakage, reason):
    breakage(folder)
    with pytest.raises(ModelNotAvailable, match=reason) as caught:
        resolve_image_model(str(folder))
    assert "small-clip" in caught.value.message + caught.value.advice


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["model_cfg", "preprocess_cfg", "model_cfg.vision_cfg", "model_cfg.text_cfg", "model_cfg.embed_dim"]
FIELDS += ["model_cfg.vision_cfg.image_size", "model_cfg.text_cfg.tokenizer_kwargs"]
FIELDS += [f"preprocess_cfg.{name}" for name in CONFIG["preprocess_cfg"]]


@given(path=st.sampled_from(FIELDS), value=JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_in_the_configuration_is_used_or_refused(folder, path, value):
    write_config(folder, changed(path, value))
    try:
        facts = read_image_model_files(folder)
    except ModelNotAvailable:
        return
    assert facts.dim > 0
    assert min(facts.image_size) > 0
    assert min(facts.std) > 0
    assert all(np.isfinite([*facts.mean, *facts.std]))


@given(st.lists(st.sampled_from([*WEIGHT_FILES, "a.bin", "b.safetensors", "c.pth", "d.txt"]), unique=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_weights_are_the_file_that_the_library_takes(tmp_path, names):
    from open_clip.factory import _find_checkpoint_in_dir

    place = tmp_path / "weights"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name in names:
        (place / name).write_bytes(b"")
    expected = _find_checkpoint_in_dir(place)
    found = choose_weights(place)
    assert (found and str(found)) == expected


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "local-dir:nothing", "local-dir:", "a/b/c"])
def test_missing_folder_is_not_looked_up_on_the_hub(name, monkeypatch):
    monkeypatch.setattr("tasks.embedding.image_card.find_hub_model", _never)
    with pytest.raises(ModelNotAvailable, match="no folder"):
        resolve_image_model(name)


def _never(*_, **__):
    raise AssertionError("the hub was asked")


@pytest.mark.parametrize("name", ["ViT-H-14", "all-MiniLM-L6-v2", "", "bad name!"])
def test_unknown_name_is_answered_with_those_that_are_known(name, monkeypatch):
    monkeypatch.setattr("tasks.embedding.image_card.find_hub_model", _never)
    with pytest.raises(ModelNotAvailable) as caught:
        resolve_image_model(name)
    assert all(known in caught.value.advice for known in ("small-clip", "ViT-B-32", "local-dir:"))


def test_folder_that_is_named_like_a_known_model_does_not_hide_it(folder, monkeypatch):
    shutil.copytree(folder, folder.parent / "ViT-B-32")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("tasks.embedding.image_card.find_hub_model", lambda *_, **__: (folder, "commit"))
    assert resolve_image_model("ViT-B-32").name == NAME


@pytest.mark.parametrize("name", ["ViT-B-32", f"hf-hub:{NAME}", NAME])
def test_unreachable_hub_is_answered_with_what_works_without_it(hub, name):
    with pytest.raises(ModelNotAvailable, match="does not answer") as caught:
        hub("http://127.0.0.1:9", name)
    assert "small-clip" in caught.value.advice
    assert "local-dir:" in caught.value.advice
    assert NAME in caught.value.message


def test_all_names_of_a_hub_model_are_one_space(hub, folder):
    with serve_hub(NAME, folder) as (endpoint, commit, _):
        cards = [hub(endpoint, name) for name in ("ViT-B-32", f"hf-hub:{NAME}", NAME)]
    assert {card.space() for card in cards} == {cards[0].space()}
    assert (cards[0].name, cards[0].revision) == (NAME, commit)


def test_one_file_of_weights_is_downloaded_and_only_once(hub, folder):
    for other in (
        "open_clip_pytorch_model.bin",
        "model.safetensors",
        "pytorch_model.bin",
        "flax_model.msgpack",
    ):
        (folder / other).write_bytes(b"the same weights in another format")
    (folder / "tokenizer.json").write_text("{}")
    with serve_hub(NAME, folder) as (endpoint, commit, asked):
        card = hub(endpoint)
        fetched = {path.rpartition(commit + "/")[2] for path in asked if f"/resolve/{commit}/" in path}
        asked.clear()
        assert hub(endpoint) == card
        assert asked == []
    assert fetched == {"open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"}


def test_weights_in_the_old_format_are_taken_where_there_are_no_others(hub, folder):
    _lose_weights(folder)
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"weights")
    with serve_hub(NAME, folder) as (endpoint, commit, _):
        card = hub(endpoint)
    assert {path.name for path in card.path.iterdir()} == {
        "open_clip_config.json",
        "open_clip_pytorch_model.bin",
    }
    assert card.revision == commit


def test_hub_model_that_is_no_clip_is_refused(hub, folder):
    (folder / "open_clip_config.json").unlink()
    with serve_hub(NAME, folder) as (endpoint, _, _), pytest.raises(ModelNotAvailable, match="no open_clip"):
        hub(endpoint)


def test_half_downloaded_cache_is_not_used(hub, folder, tmp_path):
    repository = tmp_path / "cache" / ("models--" + NAME.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("b" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("b" * 40))
    assert hub("http://127.0.0.1:9").revision == "b" * 40
    os.unlink(repository / "snapshots" / ("b" * 40) / "open_clip_model.safetensors")
    with pytest.raises(ModelNotAvailable, match="does not answer"):
        hub("http://127.0.0.1:9")
