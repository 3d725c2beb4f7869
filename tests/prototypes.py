"""Classes of vectors for tests: as near to each other, and as scattered, as a test asks for."""

from __future__ import annotations

import numpy as np

from schemas.prototype import LeftOut, Members, Prototype
from schemas.settings import PrototypeSettings
from tasks.prototypes.build import NO_DIRECTION, TOO_FEW, build_prototype

NAMES = ("강아지", "고양이", "토끼", "file", "Zebra", "사과 나무", "개", "말", "소", "닭")


def unit(values):
    """Float32 rows of unit length."""
    values = np.asarray(values, np.float64)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def make_members(sizes, *, dim=16, scatter=0.5, seed=0, names=None):
    """Members with that many images of each class; a scatter of 0 makes all images of a class equal."""
    names = sorted(
        names or (NAMES if len(sizes) <= len(NAMES) else [f"분류{i:04d}" for i in range(len(sizes))])
    )
    names = sorted(names[: len(sizes)])
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    centres = unit(rng.normal(size=(len(sizes), dim)))
    vectors = unit(centres[owners] + scatter * rng.normal(size=(len(owners), dim)) / np.sqrt(dim))
    return as_members(names, owners, vectors)


def as_members(names, owners, vectors):
    """Members with uris that name class and number."""
    uris = tuple(f"{names[owner]}/{number}.png" for number, owner in enumerate(owners))
    return Members(tuple(names), np.asarray(owners), uris, np.arange(len(owners)), np.asarray(vectors))


def build_prototypes(
    members: Members, settings: PrototypeSettings
) -> tuple[tuple[Prototype, ...], tuple[LeftOut, ...]]:
    """Prototypes of all classes, by name, and the classes that have none.

    Raises:
        ConfigurationError, EmbeddingFailed: see `build_prototype`.
    """
    made: list[Prototype] = []
    left_out: list[LeftOut] = []
    for index, name in enumerate(members.classes):
        vectors = members.vectors[members.owners == index]
        if len(vectors) < settings.min_images:
            left_out.append(LeftOut(name, len(vectors), TOO_FEW))
        elif (prototype := build_prototype(name, vectors, settings)) is None:
            left_out.append(LeftOut(name, len(vectors), NO_DIRECTION))
        else:
            made.append(prototype)
    return tuple(made), tuple(left_out)
