"""Read an image: what its bytes and its sidecar say, without a model. For a parser process."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from schemas.document import Metadata
from schemas.errors import FetchFailed
from schemas.image import ImageFacts
from tasks.dedup.image import signature_of_seen
from tasks.images.exif import read_metadata
from tasks.images.opening import as_seen, count_frames, is_turned, mime_of, opened, require_size
from tasks.images.sidecars import SidecarText, read_sidecar, split_bundle

SIGNATURE_SIDE = 256
"""Pixels that the signature needs: a photograph is decoded at an eighth of its size."""


def read_image(path: Path) -> ImageFacts:
    """The facts of an image file, or of a bundle; the image is decoded once, so a damaged one fails here.

    Raises:
        DocumentError: of `tasks.images.opening.open_image`; ParseFailed where the sidecar cannot be read.
    """
    bundle = split_bundle(_read(path))
    said = SidecarText("", Metadata())
    if bundle.sidecar is not None:
        said = read_sidecar(bundle.suffix, bundle.sidecar)
    with opened(bundle.image) as image:
        require_size(image)
        width, height = image.size  # decoded, a photograph is smaller
        signature = signature_of_seen(as_seen(image, target=SIGNATURE_SIDE))
        if is_turned(image):
            width, height = height, width
        # the frames last: to look for them leaves the first one
        mime, own, frames = mime_of(image), read_metadata(image), count_frames(image)
    sha256 = hashlib.sha256(bundle.image).digest()
    metadata = merge(said.metadata, own)
    return ImageFacts(mime, sha256, width, height, frames, signature, said.caption, metadata)


def merge(first: Metadata, second: Metadata) -> Metadata:
    """The first one's facts, with those of the second that it lacks."""
    return replace(
        first,
        title=first.title or second.title,
        author=first.author or second.author,
        authored_at=first.authored_at or second.authored_at,
        language=first.language or second.language,
        tags=first.tags or second.tags,
        extra={**second.extra, **first.extra},
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise FetchFailed(
            f"The file could not be read: {exc.strerror}.",
            advice="Check its permissions and that it still exists.",
        ) from exc
