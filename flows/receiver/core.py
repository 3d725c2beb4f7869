"""What the parts of the receiver share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from flows.receiver.inbox import Inbox
from flows.receiver.limits import Buckets, Slots
from flows.receiver.meters import Meters
from flows.receiver.refusals import RequestRefused
from flows.receiver.senders import Senders
from registry.connection import Database
from schemas.settings import Settings, WebhookSettings

MAX_UPLOADS = 16
"""At once. Who signs is known only at the end, so this bounds what strangers can fill a disk with."""

MAX_UPLOADS_PER_CLIENT = 4
"""Of one address whose sender is not known yet: a stranger who sends slowly leaves room for others."""


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
    uploads: Slots = field(default_factory=lambda: Slots(MAX_UPLOADS, MAX_UPLOADS_PER_CLIENT))

    @property
    def webhook(self) -> WebhookSettings:
        """Its own settings."""
        return self.settings.webhook

    def note_accepted(self) -> None:
        """Wake up who waits for events."""
        if self.on_accept is not None:
            self.on_accept()

    @contextmanager
    def upload_slot(self, client: str | None) -> Iterator[None]:
        """One of the uploads at once.

        Args:
            client: who wants it; None for one that may have them all.

        Raises:
            RequestRefused: 503, there are too many.
        """
        if not self.uploads.take(client):
            raise RequestRefused(
                503, "Busy", "There are too many uploads at once.", advice="Send it again.", retry_s=2
            )
        try:
            yield
        finally:
            self.uploads.free(client)


def the_receiver(request: Request) -> Receiver:
    """The receiver that an app was made for."""
    receiver: Receiver = request.app.state.receiver
    return receiver
