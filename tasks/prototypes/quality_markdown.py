"""The report of a set of prototypes as Markdown, for the Prefect UI and the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def quality_markdown(report: Json) -> str:
    """Numbers, classes, confusions, outliers, close classes and classes left out.

    Args:
        report: made by `tasks.prototypes.quality.assess`.
    """
    facts, close = report["statistics"], report["close_classes"]["limit"]
    lines = [
        f"**{facts['total_classes']} classes**, {facts['avg_samples_per_class']:g} images each, "
        f"{facts['embedding_dim']} dimensions; {report['measured']} of {report['images']} images measured, "
        "each as if it were new.",
        "",
        *_table(("", ""), _numbers(report), align="-:"),
    ]
    for title, key, head, align in _SECTIONS:
        part = report[key]
        if part["count"]:
            shown = f", {len(part['entries'])} shown" if part["count"] > len(part["entries"]) else ""
            lines += ["", f"## {title.format(close=close)}: {part['count']}{shown}", ""]
            lines += _table(
                head, ([entry[_field(name)] for name in head] for entry in part["entries"]), align
            )
    return "\n".join(lines)


_SECTIONS = (
    ("Classes", "classes", ("no.", "class", "images", "measured", "accuracy", "coverage"), ":-::::"),
    ("Confused", "confusions", ("true", "predicted", "count", "share"), "--::"),
    (
        "Images that may be in the wrong class",
        "outliers",
        ("image", "in", "similarity", "nearest other", "its similarity", "reason"),
        "--:-:-",
    ),
    ("Classes that look the same (cosine {close:g} and more)", "close_classes",
     ("one", "other", "similarity"), "--:"),
    ("Classes left out", "left_out", ("class", "images", "reason"), "-:-"),
)  # fmt: skip


def _field(name: str) -> str:
    return {
        "no.": "number",
        "class": "name",
        "image": "uri",
        "in": "class",
        "nearest other": "nearest",
        "its similarity": "nearest_similarity",
    }.get(name, name)


def _numbers(report: Json) -> Iterable[tuple[str, object]]:
    yield "rightly classified", report["accuracy"]
    yield "accepted", report["coverage"]
    yield "right among the accepted", report["accepted_accuracy"]
    yield "accepted as a class that is not theirs", report["wrong_accept_rate"]
    yield "accepted where their class is left out", report["false_accept_rate"]
    yield "known told from unknown by similarity (AUROC)", report["auroc"]["s1"]
    yield "known told from unknown by margin (AUROC)", report["auroc"]["margin"]
    yield "least similarity (tau1)", report["thresholds"]["tau1"]
    yield "least margin (tau2)", report["thresholds"]["tau2"]


def _table(head: Iterable[str], rows: Iterable[Iterable[object]], align: str = "") -> list[str]:
    names = list(head)
    rules = ["---:" if mark == ":" else "---" for mark in align.ljust(len(names), "-")]
    return [_row(names), _row(rules), *(_row(map(_cell, row)) for row in rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    # a name shall not become markup, nor end its cell or its line
    return re.sub(r"([\\`*_{}\[\]<>|#~$&!])", r"\\\1", re.sub(r"[\s\x00-\x1f\x7f]+", " ", str(value)))
