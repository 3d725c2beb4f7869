"""The table of formats, for the command line and docs/FORMATS.md."""

from __future__ import annotations

from typing import Any, get_args

from tasks.parsing.formats import PARSERS, Feature

FEATURES: tuple[str, ...] = get_args(Feature)


def formats_json() -> list[dict[str, Any]]:
    """One entry a parser: what it reads, what it finds, its rungs."""
    return [
        {
            "formats": parser.formats,
            "parser": name,
            **{feature: feature in parser.features for feature in FEATURES},
            "ocr": parser.reads_scans,
            "rungs": [rung for rung, _ in parser.rungs],
        }
        for name, parser in sorted(PARSERS.items(), key=lambda item: item[1].formats.casefold())
    ]


def formats_markdown() -> str:
    """The table as Markdown."""
    columns = ("text", *FEATURES)
    lines = [
        f"| format | parser | {' | '.join(columns)} | rungs |",
        f"| --- | --- |{' :-: |' * len(columns)} --- |",
    ]
    for entry in formats_json():
        if entry["parser"] == "archive":  # holds documents, is none
            found = ["-"] * len(columns)
        else:
            found = ["OCR" if entry["parser"] == "image" else "yes"]
            found += ["yes" if entry[feature] else "-" for feature in FEATURES]
        rungs = ", ".join(entry["rungs"]) + (", OCR by page" if entry["ocr"] else "")
        lines.append(f"| {entry['formats']} | `{entry['parser']}` | {' | '.join(found)} | {rungs} |")
    return "\n".join(lines)
