"""What an embedding endpoint answers: read as vectors, or found to be none."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, StrictInt, StringConstraints, ValidationError
from pydantic_core import from_json

from tasks.embedding.base import Vectors

_SHOWN = 200
_SHARED = 12
"""Characters in a row of a text in a message of the server's that make us leave the message out."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\[nrt]")


class _Row(BaseModel):
    index: StrictInt
    embedding: list[float] | Annotated[str, StringConstraints(strict=True)] = Field(
        union_mode="left_to_right"
    )


class _Answer(BaseModel):
    data: list[_Row]


class BadAnswer(Exception):
    """Why an answer cannot be used, as the end of a sentence; nothing of it is."""


def read_answer(body: bytes, count: int, dim: int) -> Vectors:
    """The vectors of an answer to `count` texts, in their order.

    Args:
        body: JSON as OpenAI's API has it; vectors are lists of numbers, or float32 in base64.
        count: how many texts were sent.
        dim: what the vectors must have.

    Returns:
        (count, dim) float32, unit length.

    Raises:
        BadAnswer: anything is missing, given twice, of another length, not finite, or zero.
    """
    try:
        rows = _Answer.model_validate_json(body).data
    except ValidationError as exc:
        raise BadAnswer(_explain(exc)) from None  # its text would repeat the answer
    if len(rows) != count:
        raise BadAnswer(f"{len(rows)} vectors came back for {count} texts")
    if sorted(row.index for row in rows) != list(range(count)):
        raise BadAnswer("it does not say for each text once, by `index`, which vector is its own")
    vectors = np.empty((count, dim), dtype=np.float64)
    for row in rows:
        vectors[row.index] = _read_vector(row.embedding, dim)
    return _normalise(vectors)


def _read_vector(value: list[float] | str, dim: int) -> np.ndarray:
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        except (binascii.Error, ValueError) as exc:
            raise BadAnswer("a vector is no float32 in base64") from exc
    else:
        vector = np.asarray(value, dtype=np.float64)
    if len(vector) != dim:
        raise BadAnswer(f"a vector has {len(vector)} dimensions, not the {dim} that are configured")
    return vector


def _normalise(vectors: np.ndarray) -> Vectors:
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = int(np.count_nonzero(~(np.isfinite(lengths) & (lengths > np.finfo(np.float32).tiny))))
    if bad:
        raise BadAnswer(f"{bad} of {len(vectors)} vectors are not finite or are zero")
    return np.asarray(vectors / lengths, dtype=np.float32)


def _explain(exc: ValidationError) -> str:
    error = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in error["loc"][:3])
    if error["type"] == "json_invalid":
        return "it is no JSON, or was cut short"
    return f"{where or 'the answer'} is missing or of a wrong type"


def read_complaint(body: bytes, *, texts: list[str], secret: str = "") -> tuple[str, str]:
    """What a server says is wrong, and its code for it; empty where it does not say, or repeats a text.

    Args:
        body: of an answer that is an error.
        texts: that were sent; none of them may get into a message or a log.
        secret: likewise.
    """
    try:
        found = from_json(body)
    except ValueError:
        return "", ""
    error = found.get("error", found) if isinstance(found, dict) else None
    if not isinstance(error, dict):
        error = {"message": error}
    said, code = (
        _flatten(next((error[k] for k in keys if isinstance(error.get(k), str)), ""), secret)[:_SHOWN]
        for keys in (("message", "detail"), ("code", "type"))
    )
    known = [_fold(_flatten(text)) for text in texts]
    code = code if _CODE.fullmatch(code) and not _repeats(code, known) else ""
    return "" if _repeats(said, known) else said.strip().rstrip("."), code


def _flatten(text: str, secret: str = "") -> str:
    """In one line and without escapes, behind which a text would not be recognised."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    if secret:
        text = text.replace(secret, "***")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _repeats(said: str, texts: list[str]) -> bool:
    """Whether it has any part of a text in it, or the whole of a short one; `texts` are folded.

    Servers quote from the middle as well, and the beginning may be the prompt, which all texts share.
    """
    said = _fold(said)
    parts = {said[i : i + _SHARED] for i in range(len(said) - _SHARED + 1)}
    return any(
        (text in said if len(text) < _SHARED else any(part in text for part in parts))
        for text in texts
        if text
    )


def read_patience(value: str, now: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 where it says nothing."""
    try:
        return max(0.0, float(value)) if float(value) < float("inf") else 0.0
    except ValueError:
        pass
    try:
        due = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (due - datetime.fromtimestamp(now, UTC)).total_seconds())
