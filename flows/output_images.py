"""What the commands about images print; text for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from flows.printable import printable
from schemas.prototype import BuildReport

SHOWN = 5


def prototypes_json(report: BuildReport) -> dict[str, Any]:
    """Plain values."""
    return {**asdict(report), "seconds": round(report.seconds, 4)}


def prototypes_line(report: BuildReport) -> str:
    """What became of the prototypes."""
    if report.version is None:
        return "none: no class has enough images" if report.left_out else "none: there are no class folders"
    if not report.made:
        return f"version {report.version}: {report.classes} classes, nothing changed"
    parts = [
        f"{len(names)} {what}"
        for names, what in ((report.added, "new"), (report.changed, "changed"), (report.lost, "gone"))
        if names
    ]
    if report.left_out:
        parts.append(f"{len(report.left_out)} left out ({_few(report.left_out)})")
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"version {report.version}: {report.classes} classes of {report.images} images{detail}"


def _few(names: Iterable[str]) -> str:
    shown = [printable(name) for name in names]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


def print_verdicts(results: Iterable[Mapping[str, Any]]) -> None:
    """One line for each image."""
    for result in results:
        path = printable(result["path"])
        if "error" in result:
            print(f"{path}: {result['message']}")
            continue
        top = ", ".join(f"{printable(name)} {score:.3f}" for name, score in result["top_k"])
        print(f"{path}: {printable(result['verdict'])}  ({top}; margin {result['margin']:.3f})")
