"""Memory and cores of an index build: what the graph needs, as far as the machine has it to spare."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from psycopg.conninfo import conninfo_to_dict

from registry.connection import Connection
from registry.queries import load
from schemas.embedding import EmbeddingSpace

_SQL = load("vector_index")

LEAST_KB = 64 << 10
"""Workers are given 32 MB each, or there are none (PostgreSQL, `plan_create_index_workers`)."""
REMOTE_KB = 512 << 10
"""Of a server on another machine, unless it is set up for more."""
MEMORY_SHARE = 4
"""Of this machine's memory a build takes at most one part in so many."""
MARGIN_KB = 16 << 10


class BuildResources(NamedTuple):
    """What a build may use.

    Attributes:
        memory_kb: maintenance_work_mem.
        workers: beside the process that builds; None leaves it to the server.
    """

    memory_kb: int
    workers: int | None


def graph_bytes(rows: int, space: EmbeddingSpace) -> int:
    """Memory of the graph while it is built. One that finds less is finished on disk, several times slower.

    Measured with pgvector 0.8.5 (Nov 2026), a row of 384 float32: 2,253 bytes with m = 16; of 64: 597 with
    m = 4, 971 with 16, 1,736 with 40.

    >>> graph_bytes(1, EmbeddingSpace("text", "p", "m", "r", 384))
    2276
    """
    value = {"vector": 4 * space.dim, "halfvec": 2 * space.dim, "bit": space.dim // 8}[space.dtype]
    return rows * (220 + 32 * space.m + 8 + value)


def choose_resources(connection: Connection, url: str, rows: int, space: EmbeddingSpace) -> BuildResources:
    """What a build of so many rows may use.

    Half of the cores, and the one that builds: searches go on meanwhile. Workers share the graph in /dev/shm,
    which is small in a container: where this machine's does not hold it, there are none.
    """
    needed = graph_bytes(rows, space) * 21 // 20 // 1024 + MARGIN_KB
    if not is_local(url):
        row = connection.execute(_SQL["maintenance_memory"]).fetchone()
        most = max(REMOTE_KB, int(row[0]) if row else 0)
        return BuildResources(max(LEAST_KB, min(needed, most)), None)
    memory = max(LEAST_KB, min(needed, machine_memory_kb() // MEMORY_SHARE))
    workers = min(7, (os.cpu_count() or 1) // 2)
    return BuildResources(memory, workers if memory < free_shared_kb() else 0)


def is_local(url: str) -> bool:
    """Whether the server is on this machine, as the embedded one is: it is reached by a socket's folder."""
    return str(conninfo_to_dict(url).get("host") or "/").startswith("/")


def machine_memory_kb(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Memory of this machine, or of the container."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # there is none
        memory = min(memory, int(limit.read_text()))
    return memory // 1024


def free_shared_kb(folder: Path = Path("/dev/shm")) -> int:
    """Free memory that processes can share; where no file system limits it, that of the machine."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return machine_memory_kb()
    return found.f_bavail * found.f_frsize // 1024
