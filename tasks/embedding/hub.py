"""Models by hub name: the local cache first, the network only where it answers."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

from schemas.errors import ModelNotAvailable
from tasks.embedding.files import read_model_files

_PROBE_TIMEOUT_S = 3.0
_REQUEST_TIMEOUT_S = 5.0
_DEFAULT_ENDPOINT = "https://huggingface.co"
_NOT_NEEDED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.mlmodel"]
# Answers of a proxy that cannot or will not reach the hub.
_PROXY_REFUSALS = {407, 502, 503, 504}


def find_hub_model(name: str, *, cache_dir: Path | None) -> tuple[Path, str]:
    """Folder and commit of a hub model, downloaded where the cache does not have it whole.

    Raises:
        ModelNotAvailable: not cached, and the hub does not answer or does not have it.
    """
    cached = _find_cached(name, cache_dir)
    if cached is not None:
        return cached, cached.name
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise _not_available(name, "is not in the cache, and HF_HUB_OFFLINE forbids fetching it")
    endpoint = os.environ.get("HF_ENDPOINT", _DEFAULT_ENDPOINT).rstrip("/")
    if not hub_answers(endpoint):
        raise _not_available(name, f"is not in the cache, and {endpoint} does not answer")
    path = _download(name, endpoint, cache_dir)
    return path, path.name


def hub_answers(endpoint: str, *, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Whether the endpoint gives any HTTP answer in time, through the machine's proxies.

    A thread carries the request: a name lookup knows no timeout, and the hub's library
    would retry for minutes.
    """
    answers: list[bool] = []
    probe = threading.Thread(
        target=lambda: answers.append(_ask(endpoint, timeout_s)), name="hub-probe", daemon=True
    )
    probe.start()
    probe.join(timeout_s)
    return bool(answers) and answers[0]


def _ask(endpoint: str, timeout_s: float) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_s):
            return True
    except urllib.error.HTTPError as exc:
        exc.close()
        return exc.code not in _PROXY_REFUSALS
    except (OSError, ValueError):
        return False


def _find_cached(name: str, cache_dir: Path | None) -> Path | None:
    """The cached snapshot, None where it is missing or incomplete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # The library compares a snapshot with the hub's listing, less what is ignored here.
    for ignored in ([*_NOT_NEEDED, "*.bin"], _NOT_NEEDED):
        try:
            path = snapshot_download(
                name, cache_dir=cache_dir, local_files_only=True, ignore_patterns=ignored
            )
            read_model_files(Path(path))
        except (LocalEntryNotFoundError, ModelNotAvailable):
            continue
        except HFValidationError as exc:
            raise _not_available(name, "is neither a folder nor a valid hub name") from exc
        return Path(path)
    return None


def _download(name: str, endpoint: str, cache_dir: Path | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi(endpoint=endpoint).model_info(name, timeout=_REQUEST_TIMEOUT_S)
        files = [sibling.rfilename for sibling in info.siblings or []]
        has_safetensors = any(file.endswith(".safetensors") for file in files)
        # By branch, not by commit: only then the cache remembers what the name stands for.
        path = snapshot_download(
            name,
            cache_dir=cache_dir,
            endpoint=endpoint,
            etag_timeout=_REQUEST_TIMEOUT_S,
            ignore_patterns=[*_NOT_NEEDED, *(["*.bin"] if has_safetensors else [])],
        )
    except Exception as exc:  # the library passes on errors of an HTTP client it has changed twice
        reason = str(exc).strip().splitlines()[:1] or [type(exc).__name__]
        raise _not_available(name, f"cannot be fetched from {endpoint} ({reason[0]})") from exc
    return Path(path)


def _not_available(name: str, reason: str) -> ModelNotAvailable:
    return ModelNotAvailable(
        f"The model {name!r} {reason}.",
        advice=(
            "Download it on a connected machine (hf download NAME --local-dir FOLDER) and give "
            "the folder, or use the default all-MiniLM-L6-v2, which needs no network."
        ),
        model=name,
    )
