"""Class prototypes of an image collection: build, show, list, roll back, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.purging import hold_flow
from flows.session import Session
from registry.collections import get_collection, get_space
from registry.history import require_whole
from registry.members import read_members
from registry.prototypes import get_set, latest_set, list_sets, store_set
from schemas.errors import ConfigurationError, OutputNotWritable, PrototypesNotFound, RunStopped
from schemas.prototype import BuildReport, PrototypeSet
from schemas.release import Collection
from tasks.prototypes.building import build_prototypes, measured_share
from tasks.prototypes.calibrate import leave_one_out
from tasks.prototypes.export import export_prototypes


def image_collection(session: Session, name: str) -> Collection:
    """The collection; raises ConfigurationError where it holds documents."""
    collection = get_collection(session.db, name)
    if collection.kind != "images":
        raise ConfigurationError(
            f"Collection {name!r} holds documents, which have no classes.",
            advice="Ingest images into a collection of their own: --kind images --collection NAME.",
        )
    return collection


def refresh(session: Session, name: str, *, rebuild: bool = False) -> BuildReport | None:
    """The set for what an image collection shows now; None for documents. For ends of other flows."""
    collection = get_collection(session.db, name)
    if collection.kind != "images":
        return None
    settings = session.settings.collection(name).prototypes
    return build_prototypes(session.db, collection, settings, rebuild=rebuild)


def build(session: Session, name: str, *, rebuild: bool = False) -> BuildReport:
    """A set of the current release as a recorded run.

    Args:
        session: the open registry.
        name: of an image collection.
        rebuild: from all images, whatever is stored.
    """
    collection = image_collection(session, name)
    facts: dict[str, Any] = {}
    with hold_flow(session, collection, "prototypes", facts) as stats:
        report = build_prototypes(
            session.db,
            collection,
            session.settings.collection(name).prototypes,
            rebuild=rebuild,
            keep_rollback=False,
        )
        if report.made:
            stats.update({"version": report.version, "digest": report.digest, "images": report.images})
    return report


def show(session: Session, name: str, version: int | None = None) -> dict[str, Any]:
    """A set as JSON values; None is the one in use.

    Raises:
        PrototypesNotFound: there is none.
    """
    collection = image_collection(session, name)
    found = get_set(session.db, collection.id, version)
    used = latest_set(session.db, collection.id)
    assert used is not None
    return {
        "collection": name,
        **_line(found, used.version),
        "is_current": used.images_release == collection.current_release,
        "current_release": collection.current_release,
        "images_of_class": {one.name: one.images for one in found.prototypes},
        "report": found.report,
    }


def history(session: Session, name: str) -> list[dict[str, Any]]:
    """All sets, newest first, as JSON values."""
    collection = image_collection(session, name)
    sets = list_sets(session.db, collection.id)
    return [_line(one, sets[0].version) for one in sets]


def _line(one: PrototypeSet, in_use: int) -> dict[str, Any]:
    quality = one.report
    return {
        "version": one.version,
        "in_use": one.version == in_use,
        "release": one.release,
        "digest": one.digest.hex(),
        "classes": quality["statistics"]["total_classes"],
        "images": quality["total_images"],
        "tau1": one.thresholds.tau1,
        "tau2": one.thresholds.tau2,
        "accuracy": quality["accuracy"],
        "created_at": one.created_at.isoformat() if one.created_at else None,
        "note": one.note,
    }


def roll_back(session: Session, name: str, version: int | None) -> PrototypeSet:
    """Take an earlier set into use, as a new version; the images stay as they are.

    It stays until the collection's next release, or the next `prototypes build`.

    Args:
        session: the open registry.
        name: of an image collection.
        version: of the set; None is the one before the one in use.

    Raises:
        PrototypesNotFound: there is no such version.
        RunStopped: a release has come meanwhile.
    """
    collection = image_collection(session, name)
    sets = list_sets(session.db, collection.id)
    if version is None:
        earlier = [
            one.version
            for one in sets
            if one.digest != sets[0].digest and one.report["statistics"]["total_classes"]
        ]
        if not earlier:
            raise PrototypesNotFound(
                f"The prototypes of {name!r} have no other version.", advice="`revector prototypes history`."
            )
        version = earlier[0]
    found = get_set(session.db, collection.id, version)
    if found.space_id != collection.active_space_id:
        raise ConfigurationError(
            f"Version {version} was made with another model than the collection's images.",
            advice="Choose a later version: `revector prototypes history`.",
        )
    stored = store_set(
        session.db,
        collection.id,
        replace(
            found,
            seen_release=collection.current_release,
            is_rollback=True,
            note=f"rollback to version {version}",
        ),
        after=sets[0].version if sets else 0,
    )
    if stored is None:
        raise RunStopped(
            "Other prototypes have come meanwhile, or images of that version were purged. "
            "Nothing was changed.",
            advice="Look at `revector prototypes history`, and run it again.",
        )
    return stored


def export(session: Session, name: str, output: Path, version: int | None = None) -> dict[str, Any]:
    """Write a set for the serving side; returns what was written, as JSON values.

    Raises:
        PrototypesNotFound: there is none.
        OutputNotWritable: see the class.
    """
    collection = image_collection(session, name)
    found = get_set(session.db, collection.id, version)
    space = get_space(session.db, found.space_id)
    export_prototypes(output, found, domain=name, model=space)
    return {
        "collection": name,
        "version": found.version,
        "release": found.release,
        "current_release": collection.current_release,
        "digest": found.digest.hex(),
        "classes": len(found.prototypes),
        "output": str(output),
    }


def draw(session: Session, name: str, version: int | None = None) -> bytes:
    """The set's picture as PNG: similarities of classes, scores of known and unknown images.

    Raises:
        PrototypesNotFound: there is no such set, or it has no class.
        ReleaseIncomplete: images that it was made of were purged.
    """
    from tasks.prototypes.figures import draw_report

    collection = image_collection(session, name)
    found = get_set(session.db, collection.id, version)
    with session.db.connection() as connection:
        require_whole(connection, session.db.tenant_id, collection, found.images_release)
    settings = session.settings.collection(name).prototypes
    classes = [one.name for one in found.prototypes]
    if not classes:
        raise PrototypesNotFound(
            f"Version {found.version} of the prototypes has no class.",
            advice="No class has enough images, see `revector prototypes show`.",
        )
    members = read_members(
        session.db,
        collection.id,
        found.space_id,
        found.images_release,
        classes=classes,
        per_class=measured_share(found.prototypes, settings),
    )
    measured = leave_one_out(members, found.prototypes, settings)
    return draw_report(found.prototypes, measured, found.thresholds)


def write_figure(session: Session, name: str, path: Path, version: int | None = None) -> None:
    """Write the set's picture.

    Raises:
        OutputNotWritable: the file cannot be written.
    """
    image = draw(session, name, version)
    try:
        path.write_bytes(image)
    except OSError as exc:
        raise OutputNotWritable(
            f"{path} cannot be written ({exc.strerror}).", advice="Name a file in a folder that is there."
        ) from exc
