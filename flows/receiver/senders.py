"""Who may send: secrets from files, read again when they change, and whose secret fits a request."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from flows.receiver.signing import MIN_SECRET, fits, read_key
from schemas.errors import ConfigurationError
from schemas.settings import SenderSettings

logger = logging.getLogger(__name__)

MAX_SECRETS = 16
"""Of one sender; every one costs an HMAC over every body."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Sender:
    """One who may send, and where to."""

    name: str
    collections: tuple[str, ...]

    def may_use(self, collection: str) -> bool:
        """Whether the collection is one of the sender's."""
        return any(fnmatchcase(collection, pattern) for pattern in self.collections)


@dataclass(slots=True)
class _Secrets:
    sender: Sender
    settings: SenderSettings
    keys: tuple[bytes, ...] = ()
    stamp: Stamp | None = None
    is_sound: bool = True


def read_secrets(path: Path, *, auth: str) -> tuple[bytes, ...]:
    """The keys in a file with one secret a line; lines that begin with # are comments.

    Raises:
        ConfigurationError: it cannot be read, or holds no secret, too many, or one that is none.
    """
    try:
        secrets = _lines(path)
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"The file of secrets {path} cannot be read ({why}).",
            advice="Check webhook.senders in revector.toml, and who may read the file.",
        ) from exc
    if not 1 <= len(secrets) <= MAX_SECRETS:
        raise ConfigurationError(
            f"The file {path} holds {len(secrets)} secrets.",
            advice=f"Write one secret a line, at most {MAX_SECRETS}.",
        )
    try:
        return tuple(_key(secret, auth) for secret in secrets)
    except ConfigurationError as exc:
        raise ConfigurationError(f"In {path}: {exc.message}", advice=exc.advice) from exc


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _is_withdrawn(path: Path) -> bool:
    """Whether the file is gone or holds no secret, which somebody meant; else it is only damaged."""
    try:
        return not _lines(path)
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False


def _key(secret: str, auth: str) -> bytes:
    """For bearers the text itself, which is what they send."""
    if auth == "hmac":
        return read_key(secret)
    if len(secret.encode()) < MIN_SECRET or not secret.isascii() or " " in secret:
        raise ConfigurationError(
            f"A bearer's secret is at least {MIN_SECRET} ASCII characters without a space.",
            advice='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    return secret.encode()


class Senders:
    """The senders of the settings with their keys; safe to use from several threads.

    Raises:
        ConfigurationError: a file of secrets cannot be used. Later, one that is deleted or holds no secret
            any more locks its sender out; one that is damaged leaves the keys that were good in force.
            The log says either.
    """

    def __init__(self, settings: Mapping[str, SenderSettings]) -> None:
        self._lock = threading.Lock()
        self._all = [_Secrets(Sender(name, one.collections), one) for name, one in sorted(settings.items())]
        for secrets in self._all:
            secrets.stamp = _stamp(secrets.settings.secrets)
            secrets.keys = read_secrets(secrets.settings.secrets, auth=secrets.settings.auth)

    def refresh(self) -> None:
        """Read again the files that have changed."""
        with self._lock:
            for secrets in self._all:
                stamp = _stamp(secrets.settings.secrets)
                if stamp != secrets.stamp:
                    secrets.stamp = stamp
                    _reload(secrets)

    def health(self) -> dict[str, bool]:
        """Sender -> whether its file of secrets, as it is now, can be used."""
        self.refresh()
        return {secrets.sender.name: secrets.is_sound for secrets in self._all}

    def keys(self, auth: str, collection: str | None) -> list[tuple[Sender, bytes]]:
        """All keys that are good for a collection (None: for any)."""
        return [
            (secrets.sender, key)
            for secrets in self._all
            if secrets.settings.auth == auth and (collection is None or secrets.sender.may_use(collection))
            for key in secrets.keys
        ]


def _stamp(path: Path) -> Stamp:
    """What changes when a file does; of a mounted secret, what its links lead to."""
    try:
        found = path.stat()
    except OSError as exc:  # one that is gone is told from one that nobody may look at
        return exc.errno or -1, -1, -1
    return found.st_mtime_ns, found.st_size, found.st_ino


def _reload(secrets: _Secrets) -> None:
    try:
        secrets.keys = read_secrets(secrets.settings.secrets, auth=secrets.settings.auth)
        secrets.is_sound = True
        logger.info("secrets read again", extra={"sender": secrets.sender.name})
    except ConfigurationError as exc:
        secrets.is_sound = False
        is_withdrawn = _is_withdrawn(secrets.settings.secrets)
        if is_withdrawn:
            secrets.keys = ()
        result = "the sender is locked out" if is_withdrawn else "the earlier ones stay valid"
        logger.error(
            "secrets cannot be read; %s: %s", result, exc.message, extra={"sender": secrets.sender.name}
        )


def find_signer(header: str, macs: list[tuple[Sender, hmac.HMAC]]) -> Sender | None:
    """Whose HMAC one of the signatures in the header is."""
    return _first(macs, fits(header, [mac for _, mac in macs]))


def find_bearer(header: str, keys: list[tuple[Sender, bytes]]) -> Sender | None:
    """Whose secret an `Authorization` header holds; without the word Bearer too, as MinIO may send it."""
    word, _, rest = header.partition(" ")
    token = (rest if word.lower() == "bearer" else header).strip().encode("utf-8", "replace")
    return _first(keys, [hmac.compare_digest(token, key) for _, key in keys])


def _first(
    candidates: list[tuple[Sender, hmac.HMAC]] | list[tuple[Sender, bytes]], good: list[bool]
) -> Sender | None:
    return next((pair[0] for pair, is_good in zip(candidates, good, strict=True) if is_good), None)
