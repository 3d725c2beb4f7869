"""`revector doctor`: what works on this machine, and what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flows.session import Session, open_session
from registry.collections import get_collection, list_collections
from registry.migrate import load_migrations
from schemas.errors import RevectorError, SpaceMismatch
from schemas.release import Collection, Kind
from schemas.settings import EndpointSettings, Settings
from tasks.embedding.endpoint_card import EndpointCard, resolve_endpoint
from tasks.embedding.resolve import resolve_card

API_TIMEOUT_S = 3
ENDPOINT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. A missing optional part is no failure."""

    name: str
    ok: bool
    detail: str
    advice: str = ""
    optional: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in ("name", "ok", "optional", "detail", "advice")}


def diagnose(settings: Settings) -> list[Check]:
    """All checks; none of them raises."""
    names, kinds = sorted({"default", *settings.collections}), _kinds(settings)
    return [
        *_check_database(settings),
        *(check for name in names for check in _check_models(settings, name, kinds.get(name))),
        *_check_vectors(settings),
        *(check for name in sorted(settings.endpoints) for check in _check_endpoint(settings, name)),
        _check_gpu(),
        *_check_devices(settings.device),
        *map(_check_tesseract, sorted({settings.collection(name).ocr.languages for name in names})),
        _check_korean_font(),
        _check_prefect(),
    ]


def _check_database(settings: Settings) -> list[Check]:
    kind = "server at REVECTOR_DATABASE_URL" if settings.database_url else f"embedded, under {settings.home}"
    try:
        with open_session(settings) as session, session.db.connection() as connection:
            row = connection.execute(
                "SELECT current_setting('server_version'), extversion, current_user "
                "FROM pg_extension WHERE extname = 'vector'"
            ).fetchone()
    except RevectorError as exc:
        return [Check("database", False, exc.message, exc.advice)]
    assert row is not None
    version, vector, role = row
    return [
        Check("database", True, f"PostgreSQL {version}, pgvector {vector}, {kind}"),
        Check("schema", True, f"migration {load_migrations()[-1].number:04d} is applied, role {role}"),
        Check("data directory", True, f"{settings.home} can be written"),
    ]


def _kinds(settings: Settings) -> dict[str, Kind]:
    """Collection -> its kind, of those that are there."""
    try:
        with open_session(settings) as session:
            return {row["name"]: row["kind"] for row in list_collections(session.db)}
    except RevectorError:  # the check of the database says why
        return {}


def _check_models(settings: Settings, collection: str, kind: Kind | None) -> list[Check]:
    """The model of a collection, and the one that a reembed would change it to."""
    own = settings.collection(collection)
    kind = kind or own.kind or "documents"
    about = f"model of {collection!r} ({kind})"
    checks = [_check_model(settings, about, kind, own.model_for(kind))]
    if own.next is not None and own.next.model is not None:
        checks.append(_check_model(settings, f"next {about}", kind, own.next_model_for(kind)))
    return checks


def _check_model(settings: Settings, about: str, kind: Kind, model: str) -> Check:
    try:
        card = resolve_card(kind, model, endpoints=settings.endpoints)
    except RevectorError as exc:
        return Check(about, False, exc.message, exc.advice)
    return Check(about, True, f"{card.name} ({card.revision}), {card.dim} dimensions")


def _check_vectors(settings: Settings) -> list[Check]:
    """Whether a model is configured that each collection's vectors were made with."""
    try:
        with open_session(settings) as session:
            collections = [get_collection(session.db, row["name"]) for row in list_collections(session.db)]
            return [
                check
                for collection in collections
                if collection.active_space_id is not None
                for check in _check_serving(session, collection)
            ]
    except RevectorError:  # the check of the database says why
        return []


def _check_serving(session: Session, collection: Collection) -> list[Check]:
    about = f"vectors of {collection.name!r}"
    try:
        choice = session.serving(collection)
    except SpaceMismatch as exc:
        return [Check(about, False, exc.message, exc.advice)]
    except RevectorError:  # the check of the model says why
        return []
    return [Check(about, True, f"made with {choice.space.describe()}")]


def _check_endpoint(settings: Settings, name: str) -> list[Check]:
    """Whether it answers, with vectors of the configured length; a key in the clear is warned of."""
    what, endpoint = f"endpoint {name!r}", settings.endpoints[name]
    checks = []
    if endpoint.key and _is_in_the_clear(endpoint):
        detail = f"{endpoint.url} is asked without encryption: others may read the key."
        checks.append(Check(f"{what}, key", False, detail, "Use https://.", optional=True))
    try:
        card = resolve_endpoint("documents", name, settings.endpoints)
        _probe(card)
    except RevectorError as exc:
        return [Check(what, False, exc.message, exc.advice), *checks]
    return [Check(what, True, f"{endpoint.url} answers with {card.dim} dimensions"), *checks]


def _probe(card: EndpointCard) -> None:
    from tasks.embedding.endpoint import EndpointEmbedder

    seconds = min(card.endpoint.timeout_s, ENDPOINT_TIMEOUT_S)
    quick = card.endpoint.model_copy(update={"timeout_s": seconds})
    EndpointEmbedder(replace(card.hurried(), endpoint=quick)).embed_query("Does it answer?")


def _is_in_the_clear(endpoint: EndpointSettings) -> bool:
    parts = urlsplit(endpoint.url)
    try:
        is_local = ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_local = parts.hostname == "localhost"
    return parts.scheme == "http" and not is_local


def _check_gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Check("gpu", False, "no NVIDIA driver found; models run on the CPU.", optional=True)
    try:
        found = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Check("gpu", False, f"nvidia-smi does not answer ({exc}).", optional=True)
    gpus = found.stdout.split("\n")[0].strip()
    if found.returncode or not gpus:
        return Check("gpu", False, "the NVIDIA driver shows no GPU; models run on the CPU.", optional=True)
    return Check("gpu", True, gpus, optional=True)


def _check_devices(devices: str) -> list[Check]:
    """Whether those that are configured are there; `auto` is always."""
    if devices == "auto":
        return []
    from tasks.embedding.device import choose_devices

    try:
        found = choose_devices(devices)
    except RevectorError as exc:
        return [Check("device", False, exc.message, exc.advice)]
    return [Check("device", True, ", ".join(found))]


def _check_tesseract(languages: str) -> Check:
    from tasks.parsing.ocr import missing_advice, tesseract_version

    try:
        version = tesseract_version(languages)
    except RevectorError as exc:
        return Check("tesseract", False, exc.message, exc.advice, optional=True)
    if version is None:
        advice = missing_advice(languages)
        return Check("tesseract", False, "scanned pages cannot be read.", advice, optional=True)
    return Check("tesseract", True, version, optional=True)


def _check_korean_font() -> Check:
    from tasks.parsing.pdf_fonts import ADVICE, has_korean_font

    if has_korean_font():
        return Check("korean font", True, "for PDFs that bring none.", optional=True)
    return Check("korean font", False, "none is installed.", ADVICE, optional=True)


def _check_prefect() -> Check:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Check(
            "prefect", True, "PREFECT_API_URL is not set: runs are plain, without a server", optional=True
        )
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=API_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as exc:
        return Check(
            "prefect",
            False,
            f"the server at {url} does not answer ({type(exc).__name__}).",
            "Start it with `prefect server start`, or unset PREFECT_API_URL.",
        )
    return Check("prefect", True, f"the server at {url} answers")
