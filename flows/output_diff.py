"""Differences between two states, printed or as JSON values."""

from __future__ import annotations

from typing import Any

from flows.printable import printable
from schemas.history import DocumentDiff, ReleaseDiff


def diff_json(diff: ReleaseDiff) -> dict[str, Any]:
    """Differences between two states, by document."""
    shown: dict[str, list[dict[str, Any]]] = {"added": [], "changed": [], "removed": [], "elected": []}
    for document in diff.documents:
        shown[document.status].append({k: v for k, v in document._asdict().items() if k != "status"})
    return {
        "from": diff.old,
        "to": diff.new,
        "models": diff.models,
        **shown,
        "chunks": {
            "added": sum(document.chunks_added for document in diff.documents),
            "removed": sum(document.chunks_removed for document in diff.documents),
        },
    }


def print_diff(diff: ReleaseDiff) -> None:
    """Differences for people."""
    data = diff_json(diff)
    print(
        f"{diff.old} -> {diff.new}: {diff.count('added')} added, {diff.count('changed')} changed, "
        f"{diff.count('removed')} removed"
        + (f", {elected} with another election" if (elected := diff.count("elected")) else "")
        + f"; chunks {data['chunks']['added']} added, {data['chunks']['removed']} removed"
    )
    if diff.models:
        print(f"  * {' -> '.join(diff.models)}")
    signs = {"added": "+", "changed": "~", "removed": "-", "elected": "="}
    for document in diff.documents:
        versions = " -> ".join(str(v) for v in (document.old_version, document.new_version) if v is not None)
        changes = (
            f"  (version {versions}; chunks "
            f"+{document.chunks_added} -{document.chunks_removed} ={document.chunks_kept})"
        )
        shown = "" if document.status == "elected" else changes
        says = _election(document)
        print(f"  {signs[document.status]} {printable(document.uri)}{shown}" + (f"  {says}" if says else ""))


def _election(document: DocumentDiff) -> str:
    """What a document's near-duplicates have to do with it, in the new state; empty for nothing new."""
    old, new = document.old_winner, document.new_winner
    if document.status == "removed" or (new is None and old is None):
        return ""
    if new is None:
        return f"no longer a duplicate of {old}" + (", shown again" if document.was_suppressed else "")
    state = f" ({document.rule}{'' if document.suppressed else ', flagged only'})"
    if old == new:
        return f"still a duplicate of {new}{state}"
    return f"now a duplicate of {new}{state}"
