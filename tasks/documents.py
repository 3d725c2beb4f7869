"""Documents as items of a collection: parsed, cleaned, masked, cut into chunks."""

from __future__ import annotations

import hashlib

from schemas.digest import version_digest
from schemas.document import ParsedDocument
from schemas.errors import EmptyDocument, TextTooLong
from schemas.version import VersionDraft, metadata_sha256
from tasks.chunking.base import chunk_document
from tasks.cleaning import clean
from tasks.dedup.signature import text_signature
from tasks.items import DocumentJob, ItemKind
from tasks.masking import mask_document
from tasks.metadata import complete_metadata, is_published
from tasks.parsing.base import choose_parser
from tasks.parsing.formats import PARSERS
from tasks.pipeline_fingerprint import by_ocr
from tasks.reading import read_jobs
from tasks.workspace import Workspace


def _variants(parser: str) -> tuple[str, ...]:
    return (parser, by_ocr(parser)) if PARSERS[parser].reads_scans else (parser,)


def _draft(workspace: Workspace, job: DocumentJob) -> VersionDraft:
    parsed = job.outcome
    assert isinstance(parsed, ParsedDocument)
    _check_length(job.item.uri, parsed, workspace.settings.limits.max_characters)
    document = mask_document(clean(parsed), workspace.collection.mask)
    chunks = chunk_document(document, workspace.policy, workspace.counter)
    if not chunks:
        raise EmptyDocument(f"{job.item.uri} holds no text.", advice="Exclude it, or give it text.")
    paths = workspace.collection.metadata.paths
    metadata = complete_metadata(parsed, document.text, job.item.uri, patterns=paths)
    text_sha256 = hashlib.sha256(document.text.encode()).digest()
    fingerprint = workspace.fingerprints[job.variant]
    meta_sha256 = metadata_sha256(metadata)
    return VersionDraft(
        content_sha256=job.fetched.sha256,
        parser=job.variant,
        fingerprint=fingerprint,
        text_sha256=text_sha256,
        metadata_sha256=meta_sha256,
        mime=parsed.mime,
        metadata=metadata,
        chunks=chunks,
        signature=text_signature(document.text),
        published=is_published(metadata),
        problems=parsed.problems,
        digest=version_digest(
            job.item.uri, text_sha256, meta_sha256, fingerprint, (chunk.hash for chunk in chunks)
        ),
    )


def _check_length(uri: str, parsed: ParsedDocument, most: int) -> None:
    """Cleaning and chunking hold a document in memory several times over."""
    length = sum(len(element.text) for element in parsed.elements)
    if length > most:
        raise TextTooLong(
            f"{uri} holds {length:,} characters of text, more than limits.max_characters = {most:,}.",
            advice="Split the document, or raise the limit in revector.toml: 100 bytes of memory each.",
        )


KIND = ItemKind(choose=choose_parser, variants=_variants, read=read_jobs, draft=_draft)
