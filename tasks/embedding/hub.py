"""Models by hub name: the local cache first, the network only where it answers."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

from schemas.errors import ModelNotAvailable
from tasks.embedding.files import read_model_files

_PROBE_TIMEOUT_S = 3.0
_REQUEST_TIMEOUT_S = 5.0
_DEFAULT_ENDPOINT = "https://huggingface.co"
_NOT_NEEDED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.mlmodel"]
# Answers of a proxy that cannot or will not reach the hub.
_PROXY_REFUSALS = {407, 502, 503, 504}
_WEIGHTS = (".safetensors", ".bin")
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    ImportError,
    EOFError,
    UnpicklingError,
)
"""What frameworks raise over files that are cut short or do not fit together."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Files of a repository, as the hub library's patterns; None allows all."""

    allow: list[str] | None = None
    ignore: list[str] | None = None

    def select(self, files: Sequence[str]) -> list[str]:
        """Those of the files that are chosen."""
        from huggingface_hub.utils._paths import filter_repo_objects

        chosen = filter_repo_objects(files, allow_patterns=self.allow, ignore_patterns=self.ignore)
        return list(chosen)


@dataclass(frozen=True, slots=True)
class HubKind:
    """A kind of model on the hub.

    Attributes:
        choices: which files to have, the best first; the first one with weights is taken.
        check: reads a folder; raises ModelNotAvailable where it is not whole.
        instead: what a user does who has no network, as the end of a sentence.
    """

    choices: tuple[Choice, ...]
    check: Callable[[Path], object]
    instead: str


TEXT_MODELS = HubKind(
    choices=(Choice(ignore=[*_NOT_NEEDED, "*.bin"]), Choice(ignore=_NOT_NEEDED)),
    check=read_model_files,
    instead="give the folder, or use the default all-MiniLM-L6-v2, which needs no network",
)


def find_hub_model(name: str, *, cache_dir: Path | None, kind: HubKind = TEXT_MODELS) -> tuple[Path, str]:
    """Folder and commit of a hub model, downloaded where the cache does not have it whole.

    Raises:
        ModelNotAvailable: not cached, and the hub does not answer or does not have it.
    """
    try:
        return _find_or_fetch(name, cache_dir, kind)
    except _Missing as exc:
        raise ModelNotAvailable(
            f"The model {name!r} {exc}.",
            advice="Download it on a connected machine (hf download NAME --local-dir FOLDER) and "
            f"{kind.instead}.",
            model=name,
        ) from exc.__cause__


class _Missing(Exception):
    """Why the model is not available, as the end of a sentence."""


def _find_or_fetch(name: str, cache_dir: Path | None, kind: HubKind) -> tuple[Path, str]:
    cached = _find_cached(name, cache_dir, kind)
    if cached is not None:
        return cached, cached.name
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise _Missing("is not in the cache, and HF_HUB_OFFLINE forbids fetching it")
    endpoint = os.environ.get("HF_ENDPOINT", _DEFAULT_ENDPOINT).rstrip("/")
    if not hub_answers(endpoint):
        raise _Missing(f"is not in the cache, and {endpoint} does not answer")
    path = _download(name, endpoint, cache_dir, kind)
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


def _find_cached(name: str, cache_dir: Path | None, kind: HubKind) -> Path | None:
    """The cached snapshot, None where it is missing or incomplete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # The library compares a snapshot with the hub's listing, less what was not chosen.
    for choice in kind.choices:
        try:
            path = snapshot_download(
                name,
                cache_dir=cache_dir,
                local_files_only=True,
                allow_patterns=choice.allow,
                ignore_patterns=choice.ignore,
            )
            kind.check(Path(path))
        except (LocalEntryNotFoundError, ModelNotAvailable):
            continue
        except HFValidationError as exc:
            raise _Missing("is neither a folder nor a valid hub name") from exc
        return Path(path)
    return None


def _download(name: str, endpoint: str, cache_dir: Path | None, kind: HubKind) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi(endpoint=endpoint).model_info(name, timeout=_REQUEST_TIMEOUT_S)
        choice = _choose([sibling.rfilename for sibling in info.siblings or []], kind)
        # By branch, not by commit: only then the cache remembers what the name stands for.
        path = snapshot_download(
            name,
            cache_dir=cache_dir,
            endpoint=endpoint,
            etag_timeout=_REQUEST_TIMEOUT_S,
            allow_patterns=choice.allow,
            ignore_patterns=choice.ignore,
        )
    except Exception as exc:  # the library passes on errors of an HTTP client it has changed twice
        reason = str(exc).strip().splitlines()[:1] or [type(exc).__name__]
        raise _Missing(f"cannot be fetched from {endpoint} ({reason[0]})") from exc
    return Path(path)


def _choose(files: Sequence[str], kind: HubKind) -> Choice:
    """The first choice that has weights; where none has, the last one, and its check will say so."""
    for choice in kind.choices:
        if any(file.endswith(_WEIGHTS) for file in choice.select(files)):
            return choice
    return kind.choices[-1]


@contextmanager
def offline() -> Iterator[None]:
    """The hub's libraries ask it for news even of a local folder; a run must not wait for that."""
    import huggingface_hub.constants as constants

    before = {key: os.environ.get(key) for key in _OFFLINE}
    was_offline = constants.HF_HUB_OFFLINE
    os.environ.update(_OFFLINE)
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
