"""What one document may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Limits of one process of a pool.

    Attributes:
        who: does the work, as messages call it.
        timeout_s: wall time for one document.
        memory_mb: address space of the process.
        output_mb: size of what one document gives.
        recycle_after: documents after which a process is replaced, against leaks: 1,500 of all formats
            leave 3 MB behind. At 200 half of the time of short documents was the start of processes.
    """

    who: str = "parser"
    timeout_s: float = 60
    memory_mb: int = 2048
    output_mb: int = 256
    recycle_after: int = 1000

    def advice(self, limit: str) -> str:
        """What helps a document that met a limit; those of parsers are settings."""
        if self.who == "parser":
            return f"Split the document, raise the parser's {limit} limit, or exclude it."
        return "Split the document, or exclude it."


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Limits of one archive or mail, those inside it included.

    Attributes:
        depth: containers inside containers; 1 takes what lies in the outermost one only.
        members: number of files.
        total_bytes: of all files together, unpacked.
        member_bytes: of one file; a larger one is refused by itself.
        ratio: unpacked to packed size, from `RATIO_FROM_BYTES` unpacked bytes on.
    """

    depth: int = 3
    members: int = 10_000
    total_bytes: int = 1024 * 2**20
    member_bytes: int = 100 * 2**20
    ratio: int = 200


RATIO_FROM_BYTES = 64 * 2**20
"""Text of one repeated line packs a thousandfold: small files are no bombs."""
