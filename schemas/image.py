"""Images: what reading one gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.document import Metadata
from schemas.duplicate import Signature


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image from its bytes, and from the sidecar that came with them.

    Attributes:
        mime: media type decided from the content.
        sha256: of the image file itself, without its sidecar: its vector depends on nothing else.
        width, height: pixels, as shown (turned by the EXIF tag).
        frames: images in the file; the first one counts.
        signature: what near-duplicates are found by; it does not know the class.
        caption: what the sidecar says of the image, "" for nothing.
        metadata: title, author, date, tags and free facts; the sidecar's come before the file's own.
    """

    mime: str
    sha256: bytes
    width: int
    height: int
    frames: int
    signature: Signature
    caption: str = ""
    metadata: Metadata = field(default_factory=Metadata)
