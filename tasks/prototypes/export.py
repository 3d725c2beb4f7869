"""A set of prototypes as two files for services that compare images with it, without revector.

`prototypes.npz`: under the name of each class its direction, (D,) float32 of unit length: of its one
vector, or the mean of all its images where it has several. Then three arrays have all vectors, class
after class: `__vectors` (M, D) float32, `__owners` (M,) int64, and `__classes` (C,) names, which the
owners count. `np.load(path)[name]` reads them; names of classes do not begin with `__`.

`prototypes.meta.json`: domain, classes, images of each, model, thresholds, statistics, release, digest
and time of the set, and the sha256 of the npz it belongs to.

Each file appears whole under its name, the npz first. A reader that has one open keeps it. Between the
two renames, or after a crash there, the sha256 does not fit: read again, or export again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError, OutputNotWritable, SourceNotFound
from schemas.exact_sum import mean_vector
from schemas.prototype import UNKNOWN, Prototype, PrototypeSet
from tasks.prototypes.quality import statistics

FORMAT: Final = 1
"""Of the two files: raised when a reader of the earlier ones would be wrong."""
NPZ: Final = "prototypes.npz"
META: Final = "prototypes.meta.json"
MAX_NAME_BYTES: Final = 4096
"""Of a class; far more than a folder's name may have, far less than a zip archive can hold."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date a zip archive knows: equal sets make equal bytes."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export as read.

    Attributes:
        meta: what stands in `prototypes.meta.json`.
        directions: (D,) float32 by class.
        vectors: (M, D) float32 of all classes; those of class i of `meta["classes"]` have owner i.
        owners: (M,) int64.
    """

    meta: dict[str, Any]
    directions: dict[str, NDArray[np.float32]]
    vectors: NDArray[np.float32]
    owners: NDArray[np.int64]


def export_prototypes(
    folder: Path, prototype_set: PrototypeSet, *, domain: str, model: EmbeddingSpace
) -> None:
    """Write both files into a folder, in the place of an export that is there; nothing else is touched.

    Equal sets make equal files, but for `created_at`.

    Args:
        folder: made if it is not there.
        prototype_set: with its prototypes.
        domain: what the classes are about: the collection's name.
        model: that made the vectors.

    Raises:
        OutputNotWritable: the folder cannot be written; an export that was there is still there.
        ConfigurationError: a class has a name that the npz cannot hold, or there are no classes.
    """
    prototypes = sorted(prototype_set.prototypes, key=lambda one: one.name)
    _require_names(prototypes)
    npz = _npz_bytes(prototypes)
    facts = _facts(prototype_set, prototypes, domain, model, hashlib.sha256(npz).hexdigest())
    meta = json.dumps(facts, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"
    with _named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _replace_both(folder, {NPZ: npz, META: meta})


def load_export(folder: Path) -> Export:
    """Read both files.

    Raises:
        SourceNotFound: there is no export, or it cannot be read.
        ConfigurationError: the files do not belong together, or are of a later format.
    """
    try:
        meta = json.loads((folder / META).read_bytes())
        npz = (folder / NPZ).read_bytes()
        sha256, written = meta["sha256"], meta["format"]
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise SourceNotFound(
            f"{folder} holds no export of prototypes that can be read ({exc}).",
            advice="Export them again.",
        ) from exc
    if hashlib.sha256(npz).hexdigest() != sha256:
        raise ConfigurationError(
            f"{folder / NPZ} is not the file that {META} was written for.",
            advice="An export may be under way: read again; if that does not help, export again.",
        )
    if written != FORMAT:
        raise ConfigurationError(
            f"{folder} holds format {written}; this version reads {FORMAT}.",
            advice="Use the version that wrote it, or export again.",
        )
    return _read(meta, npz)


def _read(meta: dict[str, Any], npz: bytes) -> Export:
    with np.load(BytesIO(npz), allow_pickle=False) as arrays:
        directions = {name: arrays[name] for name in meta["classes"]}
        if "__vectors" in arrays.files:
            return Export(meta, directions, arrays["__vectors"], arrays["__owners"])
    return Export(meta, directions, np.stack(list(directions.values())), np.arange(len(directions)))


def _require_names(prototypes: Sequence[Prototype]) -> None:
    if not prototypes:
        raise ConfigurationError("The set has no classes to export.", advice="Build the prototypes first.")
    for one in prototypes:
        if (problem := name_problem(one.name)) is not None:
            raise ConfigurationError(
                f"The class {one.name!r} cannot be exported: its name {problem}.",
                advice="Rename its folder and ingest again.",
            )


def name_problem(name: str) -> str | None:
    """What `np.load(...)[name]`, or who reads a verdict, would stumble over; None for nothing.

    Of classes "a" and "a.npy" the second would answer with the first. A zip archive ends names at NUL,
    and on Windows reads a backslash as a slash.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not valid text"
    problems = {
        "is empty": not name,
        "is the answer for an image of no class": name == UNKNOWN,
        "begins with __, which other arrays do": name.startswith("__"),
        "ends with .npy": name.endswith(".npy"),
        "holds a NUL character": "\0" in name,
        "holds a backslash": "\\" in name,
        f"has more than {MAX_NAME_BYTES} bytes": size > MAX_NAME_BYTES,
    }
    return next((text for text, is_so in problems.items() if is_so), None)


def _npz_bytes(prototypes: Sequence[Prototype]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {one.name: _direction(one).astype("<f4") for one in prototypes}
    if any(len(one.vectors) > 1 for one in prototypes):
        counts = [len(one.vectors) for one in prototypes]
        arrays["__vectors"] = np.concatenate([one.vectors for one in prototypes]).astype("<f4")
        arrays["__owners"] = np.repeat(np.arange(len(prototypes)), counts).astype("<i8")
        names = [one.name for one in prototypes]
        arrays["__classes"] = np.array(names, f"<U{max(map(len, names))}")
    file = BytesIO()
    # not np.savez: names are its keyword arguments, and "file" is taken; and it writes the time of day
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            archive.writestr(_member(name), _npy_bytes(array))
    return file.getvalue()


def _direction(prototype: Prototype) -> NDArray[np.float32]:
    if len(prototype.vectors) == 1:
        only: NDArray[np.float32] = prototype.vectors[0]
        return only
    mean = mean_vector(prototype.sum)
    assert mean is not None  # or it would not have become a prototype
    return mean


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name + ".npy", _EPOCH)
    member.create_system = 3  # else that of this machine
    member.external_attr = 0o644 << 16
    return member


def _npy_bytes(array: NDArray[Any]) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _facts(
    prototype_set: PrototypeSet,
    prototypes: Sequence[Prototype],
    domain: str,
    model: EmbeddingSpace,
    sha256: str,
) -> dict[str, Any]:
    taus, made = prototype_set.thresholds, prototype_set.created_at
    return {
        "format": FORMAT,
        "domain": domain,
        "classes": [one.name for one in prototypes],
        "images": {one.name: one.images for one in prototypes},
        "model": {
            "name": model.model,
            "revision": model.revision,
            "dim": model.dim,
            "provider": model.provider,
        },
        "thresholds": {"tau1": taus.tau1, "tau2": taus.tau2},
        "statistics": statistics(prototypes),
        "release": prototype_set.release,
        "digest": prototype_set.digest.hex(),
        "created_at": made.isoformat() if made else None,
        "sha256": sha256,
    }


def _replace_both(folder: Path, contents: dict[str, bytes]) -> None:
    for name in contents:
        if (folder / name).is_dir():
            raise IsADirectoryError(f"{name} is a folder")
    parts = {name: folder / f".{name}.{uuid4().hex[:8]}.part" for name in contents}
    try:
        for name, content in contents.items():
            _write(parts[name], content)
        for name in contents:
            parts[name].replace(folder / name)
            _sync_folder(folder)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """So that the order of the two renames survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputNotWritable(
            f"The prototypes cannot be written to {folder} ({exc.strerror or exc}).",
            advice="Name another folder, or make room, and export again.",
        ) from exc
