"""Plain unstructured, made to run without a network and without what these files do not need."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.parsing import unstructured_rung

Partition = Callable[..., list[Any]]

_QUIET = ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "UNSTRUCTURED_DISABLE_NOTICE")
# Imported by its PDF and spreadsheet modules at their head. Neither `strategy="fast"` nor an XLSX
# comes to use them, but for the one question whether a spreadsheet is encrypted.
_NOT_NEEDED = (
    "cv2",
    "msoffcrypto",
    "msoffcrypto.exceptions",
    "pdf2image",
    "pi_heif",
    "pikepdf",
    "unstructured_inference",
    "unstructured_inference.config",
    "unstructured_inference.constants",
    "unstructured_inference.inference",
    "unstructured_inference.inference.elements",
    "unstructured_inference.inference.layout",
    "unstructured_inference.inference.layoutelement",
    "unstructured_inference.inference.pdf_image",
    "xlrd",
)


class _UnusedKind(type):
    def __getattr__(cls, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _Unused(metaclass=_UnusedKind):
    """Stands in for a class, function or constant; its attributes are None."""

    def __init__(self, *arguments: object) -> None:
        pass

    def is_encrypted(self) -> bool:
        return False


class _Stub(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _UnusedKind(name, (_Unused,), {})


def open_peer() -> Partition:
    """`unstructured.partition.auto.partition`, without telemetry and downloads.

    What it needs for a format and does not find, it says when it is called.
    """
    for name in _QUIET:
        os.environ[name] = "1"
    # Without this it loads spaCy, and downloads a language model where there is none.
    sys.modules.setdefault("unstructured.nlp.tokenize", unstructured_rung._tokenizer())
    for name in _NOT_NEEDED:
        if not _is_installed(name):
            stub = _Stub(name)
            stub.__path__ = []
            sys.modules[name] = stub
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        partition: Partition = importlib.import_module("unstructured.partition.auto").partition
    return partition


@contextlib.contextmanager
def silence() -> Any:
    """No warnings and no log lines of either side while the block runs: their cost is not parsing."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def text_of(partition: Partition, path: Path) -> str:
    """All text that it finds."""
    return "\n".join(element.text or "" for element in partition(filename=str(path), strategy="fast"))


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
