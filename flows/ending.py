"""How a run's end is written down."""

from __future__ import annotations


def describe_end(error: BaseException) -> str:
    """What the registry records of a run that did not finish.

    What is no `Exception` is somebody who ended the process: Ctrl-C, or a SIGTERM from Prefect's worker.

    >>> describe_end(KeyboardInterrupt())
    'cancelled (KeyboardInterrupt)'
    >>> describe_end(ValueError("no"))
    'ValueError: no'
    """
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}"
    return f"cancelled ({type(error).__name__})"
