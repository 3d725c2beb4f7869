"""What the batch functions of one run work with; costly parts are made at first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from registry.blobs import BlobStore
from registry.connection import Database
from registry.staging import StageTarget
from schemas.chunk import ChunkingPolicy
from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError
from schemas.release import Kind
from schemas.settings import CollectionSettings, Settings
from schemas.source import Scope, Source
from tasks.chunking.base import default_policy
from tasks.cores import usable_cores
from tasks.drafting import Recipe
from tasks.embedding.base import SharedEmbedder
from tasks.embedding.card import ModelCard
from tasks.embedding.resolve import Card
from tasks.parsing.ladder import OcrPlan
from tasks.parsing.limits import UnpackLimits
from tasks.parsing.worker import ParseLimits, ParserPool, PoolClosed
from tasks.pipeline_fingerprint import fingerprints, image_fingerprints, parser_versions
from tasks.sources.base import is_remote, open_lister
from tasks.sources.members import MemberLister
from tasks.sources.sidecars import SidecarLister

if TYPE_CHECKING:
    from tasks.embedding.base import Embedder

MB = 1 << 20
PARSE = "tasks.parsing.jobs:do_job"
DRAFT = "tasks.drafting:do_draft"
DRAFT_LIMITS = ParseLimits(who="chunker", timeout_s=3600, memory_mb=16_384, recycle_after=100_000)
"""Far above what `limits.max_characters` lets through: a million took half a minute on a slow core."""


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
        card: Card,
        *,
        kind: Kind,
        space: EmbeddingSpace,
        chunk_card: Card,
        clock_ns: Callable[[], int],
        nested: Sequence[Source] = (),
        reelect: bool = False,
        load_embedder: Callable[[Card, Settings], Embedder],
    ) -> None:
        self.db = db
        self.settings = settings
        self.collection = collection
        self.scope = scope
        self.card = card
        self.space = space
        self.chunk_card = chunk_card
        self.kind = kind
        self.clock_ns = clock_ns
        self.nested = nested
        self.reelect = reelect
        self._load_embedder = load_embedder
        self._embedder: Embedder | None = None
        self._pools: dict[str, ParserPool] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.target: RunTarget | None = None
        self.allow_deletions = False
        self.named: frozenset[str] = frozenset()
        self.gone: frozenset[str] = frozenset()
        self.gone_containers: frozenset[str] = frozenset()
        self.place = ""

    @property
    def is_inbox(self) -> bool:
        """Whether the source is one of our own folders for uploads."""
        root = self.scope.source.root_url
        return not is_remote(root) and Path(root).is_relative_to(self.settings.inbox.expanduser().resolve())

    @property
    def home(self) -> Path:
        """The data directory."""
        return self.settings.home

    @cached_property
    def lister(self) -> MemberLister | SidecarLister:
        """Lists and opens the items of the source, what is inside containers, images with their sidecars."""
        files = open_lister(
            self.scope.source, home=self.home.resolve(), follow_links=self.collection.follow_links
        )
        folder = self.home / "unpacked"
        members = MemberLister(files, folder, pool=lambda: self.pool, limits=self.unpack_limits)
        return SidecarLister(members) if self.kind == "images" else members

    @property
    def unpack_limits(self) -> UnpackLimits:
        """What one container may hold."""
        limits = self.settings.limits
        return UnpackLimits(
            depth=limits.unpack_depth,
            members=limits.unpack_members,
            total_bytes=limits.unpack_mb * MB,
            member_bytes=limits.max_file_mb * MB,
        )

    @cached_property
    def blobs(self) -> BlobStore:
        """The raw bytes' store."""
        return BlobStore(self.home, self.db.tenant_id)

    @cached_property
    def policy(self) -> ChunkingPolicy:
        """Chunk limits: the collection's own where set, else those of the model that chunks are cut for.

        Raises:
            ConfigurationError: a limit is larger than the model allows, or min is over max.
        """
        own, card = self.collection.chunking, self._text_card
        policy = default_policy(card)
        if own.max_tokens is not None:
            if own.max_tokens > card.max_tokens:
                raise ConfigurationError(
                    f"chunking.max_tokens = {own.max_tokens} is more than the {card.max_tokens} "
                    f"tokens that {card.name} reads.",
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
    def recipe(self) -> Recipe:
        """What becomes of a document that was read."""
        return Recipe(
            self._text_card.path,
            self.policy,
            self.collection.mask,
            self.collection.metadata.paths,
            self.settings.limits.max_characters,
        )

    @property
    def _text_card(self) -> ModelCard:
        assert isinstance(self.chunk_card, ModelCard), "images have no tokens"
        return self.chunk_card

    @cached_property
    def ocr(self) -> OcrPlan:
        """How pages without text are read, or why none can be."""
        from tasks.parsing.ocr import missing_advice, tesseract_version

        own = self.collection.ocr
        unavailable = ""
        if not own.enabled:
            unavailable = "OCR is off: set ocr.enabled = true in revector.toml to read scanned pages."
        elif tesseract_version(own.languages) is None:
            unavailable = missing_advice(own.languages)
        return OcrPlan(
            own.languages, own.page_mode, own.dpi, own.timeout_s, own.max_pages, unavailable=unavailable
        )

    @cached_property
    def parser_versions(self) -> dict[str, str]:
        """What the stored result of a parser depends on, by its name, with OCR and without."""
        from tasks.parsing.ocr import OCR_VERSION, tesseract_version

        own = self.collection.ocr
        program = tesseract_version(own.languages) if own.enabled else None
        return parser_versions(
            f"ocr {OCR_VERSION} tesseract {program} mode {own.page_mode} dpi {own.dpi} pages {own.max_pages}"
        )

    @cached_property
    def fingerprints(self) -> dict[str, bytes]:
        """Parser name -> pipeline fingerprint: all that changes what a version holds."""
        if self.kind == "images":
            return image_fingerprints(self.collection, self.settings.limits)
        return fingerprints(self.parser_versions, self.collection, self.policy, self.settings.limits)

    @property
    def pool(self) -> ParserPool:
        """The parser processes."""
        limits = self.settings.limits
        workers = limits.parse_workers or min(8, usable_cores())
        return self._open_pool(
            PARSE, workers, ParseLimits(timeout_s=limits.parse_timeout_s, memory_mb=limits.parse_memory_mb)
        )

    @property
    def draft_pool(self) -> ParserPool | None:
        """The processes that draft; None where the run does it itself."""
        workers, cores = self.settings.limits.draft_workers, usable_cores()
        if workers is None:
            workers = min(4, cores // 2) if cores >= 4 else 0
        return self._open_pool(DRAFT, workers, DRAFT_LIMITS) if workers else None

    def _open_pool(self, function: str, workers: int, limits: ParseLimits) -> ParserPool:
        with self._lock:
            if self._closed:
                raise PoolClosed("the run is over")
            if function not in self._pools:
                self._pools[function] = ParserPool(workers, limits, parse=function)
            return self._pools[function]

    @property
    def embedder(self) -> Embedder:
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
        """End the processes that parse and embed, delete what was unpacked."""
        with self._lock:
            self._closed = True
            for pool in self._pools.values():
                pool.close()
            self._pools = {}
        if isinstance(self._embedder, SharedEmbedder):
            self._embedder.end()
        if "lister" in self.__dict__:
            self.lister.close()
