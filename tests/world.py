"""What most tests play in: a folder of documents, a registry, a fake model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.estimating import foresee_location
from flows.pipeline import ingest_location
from flows.session import Session, open_session
from registry.blobs import BlobStore
from registry.check import Problem, check_collection
from registry.collections import find_collection, get_collection
from registry.releases import list_releases
from registry.runs import list_rejections
from registry.search import search_collection
from schemas.plan import ChangePlan
from schemas.release import Rejection, Release
from schemas.report import RunReport
from schemas.search import Hit
from schemas.settings import CollectionSettings, Settings
from tasks.batch import plain_steps
from tests.fake_models import FakeModels


class World:
    """Drives the pipeline as the command line does, with a model that counts its texts."""

    def __init__(self, folder: Path, session: Session, models: FakeModels) -> None:
        self.folder = folder
        self.session = session
        self.models = models
        self.embedder = models.texts
        self.image_embedder = models.images

    @classmethod
    @contextmanager
    def open(cls, base: Path, url: str, **settings: Any) -> Iterator[World]:
        models = FakeModels()
        folder = base / "docs"
        folder.mkdir(exist_ok=True)
        chosen = Settings(home=base / "home", database_url=url, **settings)  # type: ignore[arg-type]
        with open_session(chosen, load_embedder=models.load) as session:
            yield cls(folder, session, models)

    def configure(self, **settings: Any) -> None:
        """Give the collection `default` these settings."""
        chosen = CollectionSettings.model_validate(settings)
        changed = self.session.settings.model_copy(update={"collections": {"default": chosen}})
        self.session = replace(self.session, settings=changed)

    def limit(self, **limits: Any) -> None:
        """Change limits of the settings."""
        settings = self.session.settings
        changed = {"limits": settings.limits.model_copy(update=limits)}
        self.session = replace(self.session, settings=settings.model_copy(update=changed))

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def file_uris(self) -> list[str]:
        """Uris of all files in the folder."""
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())

    def plan(self, path: Path | None = None, collection: str = "default", **options: Any) -> ChangePlan:
        with plain_steps() as steps:
            location = str(path or self.folder)
            return foresee_location(self.session, steps, location, collection, **options).plan

    def ingest(self, path: Path | None = None, collection: str = "default", **options: Any) -> RunReport:
        with plain_steps() as steps:
            return ingest_location(self.session, steps, str(path or self.folder), collection, **options)

    def ingest_with(self, path: Path | None = None, **changes: Any) -> RunReport:
        """An ingest with steps replaced: `ingest_with(step=lambda original: function)`."""
        with plain_steps() as steps:
            replaced = {name: change(getattr(steps, name)) for name, change in changes.items()}
            return ingest_location(
                self.session,
                replace(steps, **replaced),
                str(path or self.folder),
                "default",
                allow_deletions=True,
            )

    def keyword(self, text: str, k: int = 5, collection: str = "default") -> list[Hit]:
        found = get_collection(self.session.db, collection)
        return search_collection(self.session.db, found, k=k, text=text)

    def vector(self, text: str, k: int = 5, collection: str = "default") -> list[Hit]:
        found = get_collection(self.session.db, collection)
        return search_collection(self.session.db, found, k=k, vector=self.embedder.embed_query(text))

    def similar(self, name: str, k: int = 5, collection: str = "default") -> list[Hit]:
        """Images that are near to one of the folder."""
        vector = self.image_embedder.embed([self.folder / name])[0]
        self.image_embedder.embedded -= 1
        found = get_collection(self.session.db, collection)
        return search_collection(self.session.db, found, k=k, vector=vector)

    def releases(self, collection: str = "default") -> list[Release]:
        return list_releases(self.session.db, get_collection(self.session.db, collection).id)

    def rejections(self, collection: str = "default") -> dict[str, Rejection]:
        found = list_rejections(self.session.db, get_collection(self.session.db, collection).id)
        return {rejection.uri: rejection for rejection in found}

    def problems(self, collection: str = "default") -> list[Problem]:
        found = find_collection(self.session.db, collection)
        if found is None:
            return []
        blobs = BlobStore(self.session.settings.home, self.session.db.tenant_id)
        return check_collection(self.session.db, found.id, blobs)
