"""The process of one device: applies functions to its model, one by one.

It is started by `tasks.embedding.processes` and ends when its parent does: a thread of its own reads the
pipe, so its end is seen while a model is loaded, or at work, too.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from schemas.errors import EmbeddingFailed, RevectorError


def main(fd: int, device: str) -> None:
    """Answer each message of the pipe: the first one loads the model, the others are applied to it."""
    connection: Connection[Any, Any] = Connection(fd)
    messages: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, messages), name="read", daemon=True).start()
    try:
        model = pickle.loads(messages.get())()
    except Exception as exc:
        connection.send(_translate(exc, device))
        return
    connection.send(None)
    while True:
        message = messages.get()
        try:
            answer = pickle.loads(message)(model)
        except Exception as exc:
            answer = _translate(exc, device)
        connection.send(answer)


def _read(connection: Connection[Any, Any], messages: SimpleQueue[bytes]) -> None:
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _translate(error: Exception, device: str) -> RevectorError:
    if isinstance(error, RevectorError):
        return error
    reason = next(iter(str(error).splitlines()), "")
    return EmbeddingFailed(
        f"The model failed on {device} with {type(error).__name__}: {reason}",
        advice="What was stored stays: run the same command again. If it fails again, leave this device out "
        "of `device`.",
        device=device,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
