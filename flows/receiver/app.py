"""The receiver as an ASGI app. It loads no model and starts no run: it stores, and says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from flows.receiver import documents, events, observing, refusals
from flows.receiver.core import Receiver
from flows.receiver.describing import describe
from flows.receiver.inbox import Inbox
from flows.receiver.limits import Buckets
from flows.receiver.measuring import Measured
from flows.receiver.meters import Meters, RegistryMeters
from flows.receiver.refusals import JsonResponse
from flows.receiver.senders import Senders
from registry.connection import Database
from schemas.settings import Settings

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    db: Database,
    *,
    clock: Callable[[], float] = time.time,
    on_accept: Callable[[], None] | None = None,
    is_ready: Callable[[], list[str]] | None = None,
    lifespan: Any = None,
) -> FastAPI:
    """The receiver of one tenant.

    Args:
        settings: of which `webhook` and `collections` matter.
        db: the registry; stays open as long as the app serves.
        clock: seconds since 1970.
        on_accept: called after each delivery that was stored, in a thread; must not block or raise.
        is_ready: problems other than the database's, for `/ready`.
        lifespan: of FastAPI, for what lives as long as the app.

    Raises:
        ConfigurationError: a file of secrets cannot be used.
        HomeNotWritable: the inbox cannot be swept.
    """
    webhook = settings.webhook
    meters = Meters()
    senders = Senders(webhook.senders)
    if not webhook.senders:
        logger.warning("no sender is configured (webhook.senders): nobody may send, all get 401")
    receiver = Receiver(
        settings=settings,
        db=db,
        senders=senders,
        inbox=Inbox(settings.inbox, settings.tenant),
        meters=meters,
        known=Buckets(webhook.requests_per_minute, webhook.burst, clock=clock),
        strangers=Buckets(webhook.requests_per_minute, webhook.burst, clock=clock),
        clock=clock,
        on_accept=on_accept,
    )
    receiver.inbox.sweep()
    meters.registry.register(RegistryMeters(db, senders.health, now=clock))
    app = FastAPI(
        title="revector",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        default_response_class=JsonResponse,
        redirect_slashes=False,
    )
    app.state.receiver = receiver
    app.state.probe = observing.make_probe(db, is_ready)
    for router in (events.router, documents.router, observing.router):
        app.include_router(router)
    refusals.install(app, lambda name: meters.refusals.labels(name).inc())
    app.add_middleware(Measured, meters=meters)
    describe(app)
    return app
