"""Images as items of a collection: read in a parser process, one chunk each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from schemas.chunk import Chunk
from schemas.digest import version_digest
from schemas.document import Metadata, ParsedDocument
from schemas.errors import DocumentError, ParseCrashed, ParseTimeout, TextTooLong, UnsupportedFormat
from schemas.image import ImageFacts
from schemas.version import VersionDraft, metadata_sha256
from tasks.dedup.image import with_class
from tasks.images.classes import class_of
from tasks.images.sidecars import BUNDLE_MAGIC, CLASS
from tasks.items import DocumentJob, Drafting, ItemKind, ReadJob, drafted
from tasks.metadata import complete_metadata, is_published
from tasks.parsing.base import choose_parser
from tasks.parsing.jobs import ImageJob
from tasks.parsing.worker import Request
from tasks.pipeline_fingerprint import PICTURE, under_limits
from tasks.workspace import Workspace

MAX_CAPTION = 20_000
"""Characters of a caption; a longer one is a document."""


def _choose(head: bytes, uri: str) -> str:
    if head.startswith(BUNDLE_MAGIC) or choose_parser(head, uri) == "image":
        return PICTURE
    raise UnsupportedFormat(
        f"{uri} is no image.",
        advice="Keep documents in a collection of their own, or exclude the file in revector.toml.",
    )


def _variants(parser: str) -> tuple[str, ...]:
    return (parser,)


def _read(workspace: Workspace, jobs: Sequence[DocumentJob]) -> Iterator[ReadJob]:
    """Equal bytes are read once; nothing is kept: reading an image costs less than storing what it gives."""
    asked = {
        job.key: workspace.pool.submit(Request(job.fetched.path, job.item.uri, ImageJob())) for job in jobs
    }
    for job in jobs:
        outcome = asked[job.key].result()
        assert isinstance(outcome, ImageFacts | DocumentError)
        job.outcome = outcome
        if isinstance(outcome, ParseTimeout | ParseCrashed):
            job.variant = under_limits(job.variant)
        yield ReadJob(job, is_read=True)


def _draft(workspace: Workspace, job: DocumentJob, *, many: bool) -> Drafting:
    del many  # it takes no time
    try:
        return drafted(_make_version(workspace, job))
    except DocumentError as exc:
        return drafted(exc)


def _make_version(workspace: Workspace, job: DocumentJob) -> VersionDraft:
    facts = job.outcome
    assert isinstance(facts, ImageFacts)
    item, patterns = job.item, workspace.collection.metadata.paths
    name = class_of(item.uri, item.path, facts, workspace.collection.prototypes, patterns)
    metadata = _metadata(facts, item.uri, name, patterns)
    chunk = _chunk(facts, item.uri, name)
    fingerprint = workspace.fingerprints[job.variant]
    # what near-duplicates are compared by: a picture that lies in two classes is two
    compared = hashlib.sha256(b"revector image 1" + facts.sha256 + name.encode()).digest()
    meta_sha256 = metadata_sha256(metadata)
    return VersionDraft(
        content_sha256=job.fetched.sha256,
        parser=job.variant,
        fingerprint=fingerprint,
        text_sha256=compared,
        metadata_sha256=meta_sha256,
        mime=facts.mime,
        metadata=metadata,
        chunks=(chunk,),
        signature=replace(with_class(facts.signature, name), characters=facts.width * facts.height),
        published=is_published(metadata),
        digest=version_digest(item.uri, compared, meta_sha256, fingerprint, (chunk.hash,)),
    )


def _metadata(facts: ImageFacts, uri: str, name: str, patterns: tuple[str, ...]) -> Metadata:
    parsed = ParsedDocument(PICTURE, facts.mime, (), facts.metadata)
    complete = complete_metadata(parsed, facts.caption, uri, patterns=patterns)
    own = {"width": str(facts.width), "height": str(facts.height)} | ({CLASS: name} if name else {})
    extra = {key: value for key, value in complete.extra.items() if key.casefold() not in own}
    return replace(complete, extra=dict(sorted((extra | own).items())))


def _chunk(facts: ImageFacts, uri: str, name: str) -> Chunk:
    if len(facts.caption) > MAX_CAPTION:
        raise TextTooLong(
            f"The caption of {uri} has {len(facts.caption):,} characters, the limit is {MAX_CAPTION:,}.",
            advice="Shorten its sidecar; a long text is a document for a collection of its own.",
        )
    text = "\n".join(part for part in (name, facts.caption) if part)
    return Chunk(text, "image", 0, 0, len(text), None, name, facts.sha256)


KIND = ItemKind(choose=_choose, variants=_variants, read=_read, draft=_draft)
