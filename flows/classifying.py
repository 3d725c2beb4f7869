"""Which class an image is of, by the prototypes of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from flows.prototyping import image_collection
from flows.session import Session
from registry.collections import get_space
from registry.prototypes import get_set
from schemas.errors import DocumentError, FetchFailed, SpaceMismatch
from schemas.prototype import PrototypeSet
from schemas.release import Collection
from tasks.embedding.resolve import Card
from tasks.prototypes.classify import classify

if TYPE_CHECKING:
    from tasks.embedding.base import ImageEmbedder


def classify_images(
    session: Session, paths: Sequence[Path], name: str, *, top_k: int = 3, version: int | None = None
) -> list[dict[str, Any]]:
    """One result for each path, in order, as JSON values; `error` instead of a verdict for a bad image.

    Args:
        session: the open registry.
        paths: image files.
        name: of an image collection.
        top_k: how many classes to name.
        version: of the prototypes; None is the one in use.

    Raises:
        PrototypesNotFound, ModelNotAvailable: see the classes.
        SpaceMismatch: the prototypes were made with none of the models that are configured.
    """
    collection = image_collection(session, name)
    found = get_set(session.db, collection.id, version)
    card = _model_of(session, collection, found)
    errors = {path: error for path in paths if (error := _problem(path)) is not None}
    good = [path for path in paths if path not in errors]
    verdicts = {}
    if good:
        vectors = _load(session, card, found.space_id).embed(good)
        verdicts = dict(
            zip(good, classify(vectors, found.prototypes, found.thresholds, top_k=top_k), strict=True)
        )
    results: list[dict[str, Any]] = []
    for path in paths:
        if (error := errors.get(path)) is not None:
            results.append({"path": str(path), "error": type(error).__name__, "message": str(error)})
            continue
        verdict = verdicts[path]
        results.append(
            {
                "path": str(path),
                "top_k": [[of, round(score, 6)] for of, score in verdict.top_k],
                "verdict": verdict.verdict,
                "s1": round(verdict.s1, 6),
                "margin": round(verdict.margin, 6),
                "is_unknown": verdict.is_unknown,
            }
        )
    return results


def _model_of(session: Session, collection: Collection, found: PrototypeSet) -> Card:
    """The configured model that a set was made with: for a while after a switch not the one that serves."""
    what, space = f"Version {found.version} of the prototypes", get_space(session.db, found.space_id)
    try:
        return session.choose_space(collection.name, collection.kind, space, what=what).card
    except SpaceMismatch as exc:
        raise SpaceMismatch(
            exc.message,
            advice="Use a later version, `revector prototypes history` lists them, or make one: "
            "`revector prototypes build`.",
        ) from exc


def embed_image(session: Session, path: Path, card: Card, space_id: int) -> np.ndarray:
    """(D,) float32 unit vector of an image file, by the model of an image collection.

    Raises:
        DocumentError: it cannot be read.
    """
    if (error := _problem(path)) is not None:
        raise error
    return np.asarray(_load(session, card, space_id).embed([path])[0])


def _load(session: Session, card: Card, space_id: int) -> ImageEmbedder:
    return cast("ImageEmbedder", session.load(card, space_id))


def _problem(path: Path) -> DocumentError | None:
    """Why an image cannot be compared, None if it can."""
    from tasks.images.opening import open_image

    try:
        open_image(path)
    except DocumentError as exc:
        return exc
    except OSError as exc:
        return FetchFailed(f"{path} cannot be read ({exc.strerror}).", advice="Check the path.")
    return None
