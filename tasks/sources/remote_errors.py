"""What goes wrong with a store behind fsspec: what passes, what lasts, and how often to try."""

from __future__ import annotations

import errno
import logging
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import RevectorError, SourceNotFound, SourceUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3
"""On top of what the store's own client does: botocore and s3fs try a request up to 5 times each."""

_LASTING = (PermissionError, FileNotFoundError, NotADirectoryError, ImportError, NotImplementedError)
_LASTING_NUMBERS = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENAMETOOLONG}
"""Among them what s3fs makes of 400, of a wrong region and of a malformed request."""

_LASTING_NAMES = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "NoRegionError",
    "ParamValidationError", "ClientAuthenticationError", "AuthenticationException", "DefaultCredentialsError",
}  # fmt: skip
"""Classes of botocore, azure, paramiko and google-auth; none of them need be installed."""


def is_lasting(exc: Exception) -> bool:
    """Whether the same request would fail again: no such bucket, no right, a wrong request."""
    if isinstance(exc, _LASTING) or type(exc) is ValueError:
        return True
    if {cls.__name__ for cls in type(exc).__mro__} & _LASTING_NAMES:
        return True
    if isinstance(exc, OSError) and exc.errno in _LASTING_NUMBERS:
        return True
    status = next(
        (v for k in ("status", "status_code", "code") if isinstance(v := getattr(exc, k, 0), int)), 0
    )
    return 400 <= status < 500 and status not in (408, 425, 429)


def back_off(attempt: int) -> None:
    """Sleep 0.5 s to 1 s before the second try and twice as long each time; jitter parts those who wait."""
    time.sleep(2**attempt * random.uniform(0.5, 1.0))


def try_often(ask: Callable[[], T]) -> T:
    """What the store answers; raises its last error where it fails `ATTEMPTS` times, or lastingly."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return ask()
        except RevectorError:
            raise
        except Exception as exc:  # each protocol has errors of its own
            if is_lasting(exc):
                raise
            log.warning("the store failed (%s); it is asked again", type(exc).__name__)
        back_off(attempt)
    return ask()


def failure(shown: str, exc: Exception) -> SourceNotFound | SourceUnavailable:
    """The error of a source that could not be listed.

    Args:
        shown: its URL, without a password.
        exc: what the store's client raised.
    """
    if isinstance(exc, FileNotFoundError):
        return SourceNotFound(
            f"There is nothing at {shown} ({exc}).",
            advice="Check the URL: the name of the bucket, the folder, the endpoint.",
        )
    what = f"{shown} cannot be listed ({type(exc).__name__}: {exc})."
    if is_lasting(exc):
        return SourceNotFound(
            what, advice="Check the URL, the credentials in the environment, and their right to list."
        )
    return SourceUnavailable(
        what,
        advice="Nothing was changed. Run again when the store answers; check the endpoint and the network.",
    )


def hide_password(url: str) -> str:
    """The URL without a password.

    >>> hide_password("sftp://reader:secret@host/docs"), hide_password("s3://bucket/a:b@c")
    ('sftp://reader:***@host/docs', 's3://bucket/a:b@c')
    """
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)
