"""`revector webhook`: the receiver and the dispatcher, in one process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn

from flows.receiver.app import create_app
from flows.receiver.connections import BoundedProtocol
from flows.service.dispatching import Dispatcher, dispatching
from flows.session import open_session
from schemas.settings import Settings

log = logging.getLogger(__name__)

NO_PREFECT = (
    "PREFECT_API_URL is not set: events are stored, and wait for `revector reindex --pending`. "
    "With `revector up`, or a Prefect server, they are applied by themselves."
)


class Server(uvicorn.Server):
    """One after which this process goes on: uvicorn's ends it by the signal that has ended the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop serving at SIGTERM or SIGINT, and forget that it came."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def serve(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are answered.

    Raises:
        ConfigurationError: a file of secrets cannot be used. Without senders the log warns only.
        DatabaseUnavailable: see the class.
    """
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # before and after it serves: the database is let go
    with ExitStack() as stack:
        session = stack.enter_context(open_session(settings))
        dispatcher = None
        if os.environ.get("PREFECT_API_URL"):
            from flows.service.orchestrator import PrefectOrchestrator

            dispatcher = Dispatcher(session.db, settings, PrefectOrchestrator())
        else:
            log.warning(NO_PREFECT)
        app = create_app(settings, session.db, on_accept=dispatcher.wake if dispatcher else None)
        if dispatcher:
            stack.enter_context(dispatching(dispatcher))
        server = Server(
            uvicorn.Config(
                app,
                host=host or settings.webhook.host,
                port=settings.webhook.port if port is None else port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=10,
                timeout_keep_alive=15,
                http=BoundedProtocol,
                ws="none",  # nobody needs it, and it would leave the protocol's bounds
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        server.run()
