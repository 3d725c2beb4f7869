"""What the parts of the receiver share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from flows.receiver.inbox import Inbox
from flows.receiver.limits import Buckets
from flows.receiver.meters import Meters
from flows.receiver.refusals import RequestRefused
from flows.receiver.senders import Senders
from registry.connection import Database
from schemas.settings import Settings, WebhookSettings

MAX_UPLOADS = 16
"""At once. Their senders are known only at the end, so this bounds what strangers can fill a disk with."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver's settings, registry and memory; one a process."""

    settings: Settings
    db: Database
    senders: Senders
    inbox: Inbox
    meters: Meters
    known: Buckets
    strangers: Buckets
    clock: Callable[[], float]
    on_accept: Callable[[], None] | None
    uploads: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_UPLOADS))

    @property
    def webhook(self) -> WebhookSettings:
        """Its own settings."""
        return self.settings.webhook

    def note_accepted(self) -> None:
        """Wake up who waits for events."""
        if self.on_accept is not None:
            self.on_accept()

    @contextmanager
    def upload_slot(self) -> Iterator[None]:
        """One of the uploads at once.

        Raises:
            RequestRefused: 503, there are too many.
        """
        if not self.uploads.acquire(blocking=False):
            raise RequestRefused(
                503, "Busy", "There are too many uploads at once.", advice="Send it again.", retry_s=2
            )
        try:
            yield
        finally:
            self.uploads.release()


def the_receiver(request: Request) -> Receiver:
    """The receiver that an app was made for."""
    receiver: Receiver = request.app.state.receiver
    return receiver
