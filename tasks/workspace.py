"""What the batch functions of one run work with; costly parts are made at first use."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from registry.blobs import BlobStore
from registry.connection import Database
from registry.staging import StageTarget
from schemas.chunk import ChunkingPolicy
from schemas.duplicate import SIGNATURE_VERSION
from schemas.errors import ConfigurationError
from schemas.settings import CollectionSettings, Settings
from schemas.source import Scope, Source
from tasks.chunking.base import CHUNKING_VERSION, default_policy
from tasks.cleaning import CLEANING_VERSION
from tasks.embedding.card import ModelCard
from tasks.masking import MASKING_VERSION
from tasks.metadata import METADATA_VERSION
from tasks.parsing.base import PARSERS, parser_version
from tasks.parsing.sniff import SNIFF_VERSION
from tasks.parsing.worker import ParseLimits, ParserPool
from tasks.sources.base import Lister, open_lister

if TYPE_CHECKING:
    from tasks.chunking.tokens import TokenCounter
    from tasks.embedding.base import TextEmbedder

MB = 1 << 20
PARSE = "tasks.parsing.base:parse_file"


@dataclass(frozen=True, slots=True)
class RunTarget:
    """Where a run writes; a plan has none."""

    collection_id: int
    source_id: int
    space_id: int
    run_id: UUID


class Workspace:
    """One run's surroundings: registry, source, model, parser processes.

    A plain class on purpose: Prefect walks through dataclasses it is handed.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        collection: CollectionSettings,
        scope: Scope,
        card: ModelCard,
        *,
        clock_ns: Callable[[], int],
        nested: Sequence[Source] = (),
        reelect: bool = False,
        load_embedder: Callable[[ModelCard, Settings], TextEmbedder],
    ) -> None:
        self.db = db
        self.settings = settings
        self.collection = collection
        self.scope = scope
        self.card = card
        self.clock_ns = clock_ns
        self.nested = nested
        self.reelect = reelect
        self._load_embedder = load_embedder
        self._embedder: TextEmbedder | None = None
        self._pool: ParserPool | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.target: RunTarget | None = None

    @property
    def home(self) -> Path:
        """The data directory."""
        return self.settings.home

    @cached_property
    def lister(self) -> Lister:
        """Lists and opens the items of the source."""
        return open_lister(self.scope.source, home=self.home.resolve())

    @cached_property
    def blobs(self) -> BlobStore:
        """The raw bytes' store."""
        return BlobStore(self.home, self.db.tenant_id)

    @cached_property
    def policy(self) -> ChunkingPolicy:
        """Chunk limits: the collection's own where set, else the model's.

        Raises:
            ConfigurationError: a limit is larger than the model allows, or min is over max.
        """
        own = self.collection.chunking
        policy = default_policy(self.card)
        if own.max_tokens is not None:
            if own.max_tokens > self.card.max_tokens:
                raise ConfigurationError(
                    f"chunking.max_tokens = {own.max_tokens} is more than the {self.card.max_tokens} "
                    f"tokens that {self.card.name} reads.",
                    advice="Lower it, or choose a model that reads longer texts.",
                )
            policy = replace(policy, max_tokens=own.max_tokens, min_tokens=int(0.4 * own.max_tokens))
        if own.min_tokens is not None:
            if own.min_tokens > policy.max_tokens:
                raise ConfigurationError(
                    f"chunking.min_tokens = {own.min_tokens} is more than max_tokens = {policy.max_tokens}.",
                    advice="Lower it.",
                )
            policy = replace(policy, min_tokens=own.min_tokens)
        return policy

    @cached_property
    def counter(self) -> TokenCounter:
        """Counts the model's tokens."""
        from tasks.chunking.tokens import TokenCounter

        return TokenCounter.for_model(self.card.path)

    @cached_property
    def fingerprints(self) -> dict[str, bytes]:
        """Parser name -> pipeline fingerprint: all that changes what a version holds.

        The name "" stands for items rejected before a parser was chosen, and the name of
        `under_limits` for those that a parser's limits stopped.
        """
        paths = self.collection.metadata.paths
        common = {
            "cleaning": CLEANING_VERSION,
            # without templates as before there were any: no document gets a new version
            "metadata": [METADATA_VERSION, *paths] if paths else METADATA_VERSION,
            "masking": [MASKING_VERSION, self.collection.mask],
            "signature": SIGNATURE_VERSION,
            "chunking": [CHUNKING_VERSION, asdict(self.policy)],
        }
        unread = {"sniffing": SNIFF_VERSION, "max_file_mb": self.settings.limits.max_file_mb}
        limits = {"timeout_s": self.settings.limits.parse_timeout_s}
        limits["memory_mb"] = self.settings.limits.parse_memory_mb
        limits["characters"] = self.settings.limits.max_characters
        parsers = {name: {"parser": parser_version(name), **common} for name in PARSERS}
        return (
            {"": _hash(unread)}
            | {name: _hash(facts) for name, facts in parsers.items()}
            | {under_limits(name): _hash({**facts, **limits}) for name, facts in parsers.items()}
        )

    @property
    def pool(self) -> ParserPool:
        """The parser processes."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the run is over")
            if self._pool is None:
                limits = self.settings.limits
                self._pool = ParserPool(
                    limits.parse_workers or min(8, os.cpu_count() or 1),
                    ParseLimits(timeout_s=limits.parse_timeout_s, memory_mb=limits.parse_memory_mb),
                    parse=PARSE,
                )
            return self._pool

    @property
    def embedder(self) -> TextEmbedder:
        """The model, loaded when first there is something to embed."""
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load_embedder(self.card, self.settings)
            return self._embedder

    def require_target(self) -> RunTarget:
        """Where to write."""
        assert self.target is not None, "this run only plans"
        return self.target

    def stage_target(self) -> StageTarget:
        """The target as the registry takes it."""
        target = self.require_target()
        return StageTarget(target.collection_id, target.source_id, target.space_id, target.run_id)

    def close(self) -> None:
        """End the parser processes."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def under_limits(parser: str) -> str:
    """The name under which a parser's time-outs, crashes and over-long texts are remembered."""
    return f"{parser} under limits"


def _hash(facts: Mapping[str, object]) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
