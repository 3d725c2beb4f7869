"""The flow as a worker's process runs it, with a fake model that takes its time."""

from __future__ import annotations

import os
import time

import flows.session
import tasks.vectors
from flows.ingest import ingest
from tests.fake_models import FakeModels

__all__ = ["ingest"]

tasks.vectors.STORE_CHUNKS = 1
_models = FakeModels()
_plain = _models.texts.embed


def _slow(texts, **options):
    time.sleep(float(os.environ["TESTS_SLOW_S"]))
    return _plain(texts, **options)


_models.texts.embed = _slow  # type: ignore[method-assign]
flows.session.load_real_embedder = _models.load  # type: ignore[assignment]
