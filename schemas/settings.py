"""Settings: what a user may choose. Unknown keys are errors. Read by `flows.configuration`.

The description of a setting with a pattern is what a user reads in the place of the pattern.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.duplicate import DEFAULT_RULES, MIN_DIFFERENCE, THRESHOLD, Policy, Rule
from schemas.embedding import DEFAULT_EF_CONSTRUCTION, DEFAULT_M, MAX_STORED_DIM
from schemas.path_template import parse_template
from schemas.release import Kind

DEFAULT_MODELS: dict[Kind, str] = {"documents": "all-MiniLM-L6-v2", "images": "ViT-B-32"}

DEFAULT_EXCLUDE = (
    ".*", "~$*", "*.tmp", "__pycache__", "__MACOSX", "node_modules", "Thumbs.db", "desktop.ini"
)  # fmt: skip

_DEVICE = r"(cpu|mps|cuda(:\d+)?)"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChunkingSettings(_Section):
    """Token limits of a chunk; None takes them from the embedding model."""

    max_tokens: int | None = Field(default=None, ge=16)
    min_tokens: int | None = Field(default=None, ge=1)


class GuardSettings(_Section):
    """When a run stops instead of retiring documents."""

    max_deleted_share: float = Field(default=0.30, ge=0, le=1)
    min_deleted: int = Field(default=10, ge=1)


class RetentionSettings(_Section):
    """What `revector purge` keeps of the past; one rule that keeps is enough."""

    keep_versions: int = Field(default=2, ge=0)
    keep_days: int = Field(default=14, ge=0, le=36_500)
    keep_tagged: bool = True
    grace_hours: int = Field(default=24, ge=0, le=876_000)


class GateSettings(_Section):
    """What a staged release must keep to; shares count from `min_documents` documents on."""

    max_empty_share: float = Field(default=0.5, ge=0, le=1)
    max_rejected_share: float = Field(default=0.5, ge=0, le=1)
    max_chunk_fall: float = Field(default=0.5, ge=0, le=1)
    max_hidden_share: float = Field(default=0.5, ge=0, le=1)
    max_lost_classes: int = Field(default=0, ge=0)
    max_prototype_shift: float = Field(default=0.2, ge=0, le=2)
    min_documents: int = Field(default=10, ge=1)
    canaries: Path | None = None
    min_canary_share: float = Field(default=1.0, ge=0, le=1)


class PrototypeSettings(_Section):
    """How classes become prototypes; `tau1` and `tau2` replace the calibrated thresholds."""

    classes: Literal["folder", "none"] = "folder"
    k: int = Field(default=1, ge=1, le=64)
    trim: float = Field(default=0.0, ge=0, lt=0.5)
    min_images: int = Field(default=2, ge=1)
    false_accept_rate: float = Field(default=0.05, gt=0, lt=1)
    tau1: float | None = Field(default=None, ge=-1, le=1)
    tau2: float | None = Field(default=None, ge=0, le=2)


class DuplicateSettings(_Section):
    """What becomes of near-duplicates, and who is elected among them."""

    policy: Policy = "suppress"
    threshold: float = Field(default=THRESHOLD, ge=0.7, le=1)
    min_difference: float = Field(default=MIN_DIFFERENCE, gt=0, le=1)
    rules: tuple[Rule, ...] = DEFAULT_RULES
    authority: dict[str, int] = {}
    drafts: tuple[str, ...] = ()


class OcrSettings(_Section):
    """How pages without usable text are read; needs tesseract."""

    enabled: bool = True
    languages: str = Field(
        default="kor+eng",
        pattern=r"^[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*$",
        description="tesseract's names of languages with a plus between, such as kor+eng",
    )
    page_mode: int = Field(default=6, ge=0, le=13)
    dpi: int = Field(default=300, ge=72, le=600)
    timeout_s: float = Field(default=60, gt=0)
    max_pages: int = Field(default=500, ge=1)


class MetadataSettings(_Section):
    """Facts about documents that their paths state: templates, of which the first that matches is read."""

    paths: tuple[str, ...] = Field(default=(), max_length=100)

    @field_validator("paths")
    @classmethod
    def _can_be_read(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            parse_template(path)
        return paths


class VectorSettings(_Section):
    """How vectors are stored and indexed; `auto` is as they are, or float32 as far as it can be indexed."""

    dtype: Literal["auto", "vector", "halfvec", "bit"] = "auto"
    m: int = Field(default=DEFAULT_M, ge=2, le=100)
    ef_construction: int = Field(default=DEFAULT_EF_CONSTRUCTION, ge=4, le=1000)

    @model_validator(mode="after")
    def _fits(self) -> VectorSettings:
        if self.ef_construction < 2 * self.m:
            raise ValueError("ef_construction must be at least twice m")
        return self


class NextSettings(_Section):
    """What `revector reembed` changes a collection to; what is left out stays."""

    model: str | None = Field(default=None, min_length=1)
    vectors: VectorSettings | None = None


class ReembedSettings(_Section):
    """How `revector reembed` behaves beside searches, and what it must not fall below."""

    duty: float = Field(default=1.0, gt=0, le=1)
    queries: int = Field(default=50, ge=0, le=1000)
    min_overlap: float = Field(default=0.0, ge=0, le=1)


class EndpointSettings(_Section):
    """A model behind an OpenAI-compatible address; a collection names it as `endpoint:NAME`.

    `max_tokens` is the longest input that it reads, special tokens and the prompt included.
    """

    url: str = Field(
        pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$",
        description="an address such as http://HOST:8080/v1, without a user, ? and #",
    )
    model: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    dim: int = Field(ge=1, le=MAX_STORED_DIM)
    max_tokens: int = Field(ge=32)
    tokenizer: str | None = Field(default=None, min_length=1)
    document_prompt: str = ""
    query_prompt: str = ""
    key: Path | None = None
    encoding: Literal["float", "base64"] = "float"
    batch: int = Field(default=64, ge=1, le=4096)
    concurrency: int = Field(default=4, ge=1, le=64)
    timeout_s: float = Field(default=60, gt=0, le=3600)
    requests_per_minute: int = Field(default=0, ge=0)


class CollectionSettings(_Section):
    """One collection."""

    kind: Kind | None = None
    model: str | None = Field(default=None, min_length=1)
    vectors: VectorSettings = VectorSettings()
    next: NextSettings | None = None
    reembed: ReembedSettings = ReembedSettings()
    mask: Literal["none"] = "none"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    follow_links: bool = False
    ocr: OcrSettings = OcrSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    guard: GuardSettings = GuardSettings()
    retention: RetentionSettings = RetentionSettings()
    gate: GateSettings = GateSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    metadata: MetadataSettings = MetadataSettings()
    prototypes: PrototypeSettings = PrototypeSettings()

    def model_for(self, kind: Kind) -> str:
        """The model's name: as configured, or the default of such collections."""
        return self.model or DEFAULT_MODELS[kind]

    def next_model_for(self, kind: Kind) -> str:
        """The model's name that a reembed changes to."""
        return (self.next and self.next.model) or self.model_for(kind)

    @property
    def next_vectors(self) -> VectorSettings:
        """How a reembed stores and indexes vectors."""
        if self.next is None or self.next.vectors is None:
            return self.vectors
        chosen = self.next.vectors.model_dump(include=self.next.vectors.model_fields_set)
        return VectorSettings.model_validate({**self.vectors.model_dump(), **chosen})

    @model_validator(mode="after")
    def _next_fits(self) -> CollectionSettings:
        _ = self.next_vectors
        return self


class LimitSettings(_Section):
    """What one document may cost."""

    max_file_mb: int = Field(default=100, ge=1)
    max_characters: int = Field(default=10_000_000, ge=1000)
    parse_timeout_s: float = Field(default=60, gt=0)
    parse_memory_mb: int = Field(default=2048, ge=256)
    parse_attempts: int = Field(default=3, ge=1)
    unpack_mb: int = Field(default=1024, ge=1)
    unpack_members: int = Field(default=10_000, ge=1)
    unpack_depth: int = Field(default=3, ge=1, le=10)
    parse_workers: int | None = Field(default=None, ge=1, le=64)
    draft_workers: int | None = Field(default=None, ge=0, le=64)
    window_documents: int = Field(default=256, ge=1)
    window_mb: int = Field(default=64, ge=1)


class SenderSettings(_Section):
    """Who may send events: `secrets` is a file with one secret a line; each of them is valid."""

    secrets: Path
    auth: Literal["hmac", "bearer"] = "hmac"
    collections: tuple[str, ...] = ("*",)


class WebhookSettings(_Section):
    """The receiver of events and uploads."""

    host: str = "127.0.0.1"
    port: int = Field(default=8321, ge=0, le=65_535)
    inbox: Path | None = None
    replay_window_s: int = Field(default=300, ge=1, le=86_400)
    max_body_kb: int = Field(default=1024, ge=1, le=102_400)
    max_upload_mb: int = Field(default=100, ge=1)
    max_documents: int = Field(default=10_000, ge=1, le=1_000_000)
    max_pending: int = Field(default=1_000_000, ge=1)
    requests_per_minute: int = Field(default=600, ge=1)
    burst: int = Field(default=200, ge=1)
    debounce_s: float = Field(default=2.0, ge=0, le=3600)
    max_wait_s: float = Field(default=30.0, ge=0, le=86_400)
    attempts: int = Field(default=10, ge=1)
    keep_days: int = Field(default=30, ge=1)
    metrics: Literal["private", "open", "off"] = "private"
    senders: dict[str, SenderSettings] = {}


class Settings(_Section):
    """All settings, defaults included.

    `home`, `database_url`, `tenant`, `device`, `precision` and `log` are facts of a machine: they
    may also come from the environment as `REVECTOR_HOME`, `REVECTOR_DATABASE_URL` and so on.
    """

    home: Path = Path(".revector")
    database_url: SecretStr | None = None
    tenant: str = Field(default="default", min_length=1)
    device: str = Field(
        default="auto",
        pattern=rf"^(auto|cuda:\*|{_DEVICE}(, ?{_DEVICE})*)$",
        description="auto or cuda:*, or one or several of cpu, mps, cuda and cuda:N with commas between",
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    log: Literal["text", "json"] = "text"
    limits: LimitSettings = LimitSettings()
    webhook: WebhookSettings = WebhookSettings()
    endpoints: dict[str, EndpointSettings] = {}
    collections: dict[str, CollectionSettings] = {}

    @field_validator("device")
    @classmethod
    def _names_each_once(cls, device: str) -> str:
        names = [name.strip() for name in device.split(",")]
        numbered = ["cuda:0" if name == "cuda" else name for name in names if name != "cpu"]
        if len(set(numbered)) < len(numbered):
            raise ValueError(f"{device!r} names a device twice; only cpu may be")
        return device

    @property
    def inbox(self) -> Path:
        """The folder that uploads lie below."""
        return self.webhook.inbox or self.home / "inbox"

    def collection(self, name: str) -> CollectionSettings:
        """Settings of a collection; the defaults where the file does not name it."""
        return self.collections.get(name, CollectionSettings())
