"""The masking stage: every text passes here before it is chunked, hashed or embedded."""

from __future__ import annotations

from schemas.document import CleanDocument
from schemas.errors import ConfigurationError

MASKING_VERSION = 1
POLICIES = ("none",)


def mask_document(document: CleanDocument, policy: str) -> CleanDocument:
    """The document under a masking policy; `none` leaves it as it is.

    Raises:
        ConfigurationError: there is no such policy.
    """
    if policy not in POLICIES:
        raise ConfigurationError(
            f"There is no masking policy {policy!r}.", advice=f"Use one of: {', '.join(POLICIES)}."
        )
    return document
