"""What one parse may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Limits of one parser process.

    Attributes:
        timeout_s: wall time for one document.
        memory_mb: address space of the process.
        output_mb: size of what one document gives.
        recycle_after: documents after which a process is replaced, against leaks.
    """

    timeout_s: float = 60
    memory_mb: int = 2048
    output_mb: int = 256
    recycle_after: int = 200
