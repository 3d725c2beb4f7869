"""Bodies of requests: read up to a limit, and JSON that has one meaning only."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from flows.receiver.refusals import RequestRefused

PATIENCE_S = 30.0
SLOWEST = 8192
"""Bytes a second. A body may take PATIENCE_S and what its size takes at that rate: who sends a byte now and
then to keep a place among the uploads is not waited for."""

MAX_DEPTH = 64
"""Of JSON: the deepest message known (CloudEvents in EventBridge in SNS) has less than ten."""


async def stream_body(request: Request, most: int, *, setting: str) -> AsyncIterator[bytes]:
    """The body piece by piece, at most `most` bytes.

    Args:
        request: whose.
        most: bytes.
        setting: that names the limit, for the advice.

    Raises:
        RequestRefused: 413, 408, or 400 where the sender is gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and (len(declared) > 18 or int(declared) > most):
        raise _too_large(most, setting)
    size = 0
    pieces = request.stream().__aiter__()
    began = asyncio.get_running_loop().time()
    while (piece := await _next(pieces, began + PATIENCE_S + size / SLOWEST)) is not None:
        size += len(piece)
        if size > most:
            raise _too_large(most, setting)
        yield piece


async def _next(pieces: AsyncIterator[bytes], deadline: float) -> bytes | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await pieces.__anext__()
    except StopAsyncIteration:
        return None
    except TimeoutError as exc:
        raise RequestRefused(
            408, "BodyTimeout", "The body comes too slowly.", advice="Send it at once, over a better line."
        ) from exc
    except ClientDisconnect as exc:
        raise RequestRefused(400, "BodyIncomplete", "The connection broke.", advice="Send it again.") from exc


def _too_large(most: int, setting: str) -> RequestRefused:
    return RequestRefused(
        413,
        "BodyTooLarge",
        f"The body is larger than {most:,} bytes.",
        advice=f"Send it in parts, or raise {setting} in revector.toml.",
    )


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Refused is what two readers may understand differently, or what is made to exhaust one: a name that
    stands twice in an object, NaN, numbers beyond 64 bits, deep nesting, bytes that are not UTF-8.

    Raises:
        RequestRefused: 400.
    """
    try:
        text = body.decode("utf-8-sig")
        if _depth(text) > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_int, parse_float=_float
        )
    except (ValueError, RecursionError) as exc:
        why = "it is not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc).partition(":")[0][:100]
        raise RequestRefused(
            400, "MalformedBody", f"The body is not JSON ({why}).", advice="Send one JSON object, in UTF-8."
        ) from exc


def _depth(text: str) -> int:
    """How deep a JSON text is nested; 0 where it has too few brackets to matter."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped, in_string = char == "\\", char != '"'
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number is too large")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > 400 or not math.isfinite(number := float(digits)):
        raise ValueError("a number is too large")
    return number
