"""A parser's result as bytes, for the registry's `parsed` table."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, fields
from datetime import datetime
from operator import attrgetter

from schemas.document import Element, Metadata, ParsedDocument, PartProblem

_LEVEL = 1  # text compresses well enough at the fastest level
_element_fields = attrgetter(*(field.name for field in fields(Element)))
_problem_fields = attrgetter(*(field.name for field in fields(PartProblem)))


def dump_parsed(parsed: ParsedDocument) -> bytes:
    """Compressed JSON."""
    data = {
        "parser": parsed.parser,
        "mime": parsed.mime,
        "elements": list(map(_element_fields, parsed.elements)),
        "metadata": asdict(parsed.metadata),
        "scans": parsed.scans,
        "problems": list(map(_problem_fields, parsed.problems)),
    }
    text = json.dumps(data, ensure_ascii=False, default=datetime.isoformat)
    return zlib.compress(text.encode("utf-8", "surrogatepass"), _LEVEL)


def load_parsed(data: bytes) -> ParsedDocument:
    """What `dump_parsed` was given."""
    raw = json.loads(zlib.decompress(data).decode("utf-8", "surrogatepass"))
    meta = raw["metadata"]
    authored = meta["authored_at"]
    return ParsedDocument(
        parser=raw["parser"],
        mime=raw["mime"],
        elements=tuple(Element(*fields) for fields in raw["elements"]),
        metadata=Metadata(
            title=meta["title"],
            author=meta["author"],
            authored_at=datetime.fromisoformat(authored) if authored else None,
            language=meta["language"],
            tags=tuple(meta["tags"]),
            extra=meta["extra"],
        ),
        scans=tuple(raw.get("scans", ())),
        problems=tuple(PartProblem(*fields) for fields in raw.get("problems", ())),
    )
