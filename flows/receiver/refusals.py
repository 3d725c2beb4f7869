"""Errors as answers: one shape for every status, and never more than a message and advice."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from schemas.errors import (
    CollectionNotFound,
    DatabaseUnavailable,
    EventConflict,
    EventRefused,
    RevectorError,
)

logger = logging.getLogger(__name__)

BUSY_S = 5
"""Seconds after which a sender may try again where nothing better is known."""

STATUS: dict[type[RevectorError], int] = {
    EventRefused: 422,
    EventConflict: 409,
    CollectionNotFound: 404,
    DatabaseUnavailable: 503,
}
NAMES = {404: "NotFound", 405: "MethodNotAllowed"}


class RequestRefused(Exception):
    """A request is answered with an error and has had no effect.

    Args:
        status: of HTTP.
        name: what the answer calls it; metrics count by it.
        message: what is wrong with the request.
        advice: what its sender can do.
        retry_s: after how many seconds it may be sent again.
    """

    def __init__(
        self, status: int, name: str, message: str, *, advice: str = "", retry_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
        self.name = name
        self.retry_s = retry_s


class JsonResponse(JSONResponse):
    """JSON in UTF-8; half a surrogate pair, which UTF-8 cannot say, is escaped."""

    def render(self, content: Any) -> bytes:
        """The body."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
        return text.encode("utf-8", "backslashreplace")


def answer(
    status: int, name: str, message: str, advice: str = "", *, headers: Mapping[str, str] | None = None
) -> Response:
    """The one shape of an error."""
    body = {"error": {"class": name, "message": message, "advice": advice}}
    return JsonResponse(body, status_code=status, headers=dict(headers or {}))


def install(app: FastAPI, count: Callable[[str], None]) -> None:
    """Let the app answer every error in the one shape; `count` is told the name of each."""

    def respond(
        status: int, name: str, message: str, advice: str = "", retry_s: float | None = None, **headers: str
    ) -> Response:
        count(name)
        if retry_s is not None:
            headers["Retry-After"] = str(max(1, round(retry_s)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return answer(status, name, message, advice, headers=headers)

    async def refused(_: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestRefused)
        return respond(exc.status, exc.name, exc.message, exc.advice, exc.retry_s)

    async def failed(_: Request, exc: Exception) -> Response:
        assert isinstance(exc, RevectorError)
        status = next((code for kind, code in STATUS.items() if isinstance(exc, kind)), 500)
        if status >= 500:
            logger.error("request failed", extra={"error": type(exc).__name__, "reason": exc.message})
        message = exc.message if status < 500 else "The receiver cannot do that right now."
        advice = exc.advice if status < 500 else "Send it again later."
        return respond(status, type(exc).__name__, message, advice, BUSY_S if status == 503 else None)

    async def invalid(_: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        says = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in exc.errors()[:3])
        return respond(
            422, "EventRefused", f"The request is not as documented: {says}.", "See /openapi.json."
        )

    async def http(_: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        name = NAMES.get(exc.status_code, "RequestRefused")
        found = respond(exc.status_code, name, f"{exc.detail}.", "See /openapi.json.")
        found.headers.update(exc.headers or {})
        return found

    async def crashed(_: Request, exc: Exception) -> Response:
        return respond(500, "InternalError", "The receiver failed on this request.", "See its log.")

    app.add_exception_handler(RequestRefused, refused)
    app.add_exception_handler(RevectorError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, crashed)
