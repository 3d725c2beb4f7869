"""Write the files inside an archive or a mail to a folder, those inside inner containers too.

Nothing of a container is trusted: neither its names nor the sizes it declares.
"""

from __future__ import annotations

import hashlib
import importlib
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from unicodedata import normalize

from schemas.container import Member, Refused, Unpacked
from schemas.errors import ContainerRefused, DocumentError, EmptyDocument, FetchFailed
from tasks.parsing.archives import Entry, open_archive
from tasks.parsing.base import choose_parser
from tasks.parsing.limits import RATIO_FROM_BYTES, UnpackLimits
from tasks.parsing.sniff import HEAD_BYTES

UNPACK_VERSION = 1
"""Raised whenever the same container may give other files."""

CONTAINERS = ("archive", "mail", "outlook")
"""Parsers of files that hold other files."""

MAX_NAME_CHARACTERS = 400
_BLOCK = 1 << 20
_DRIVE = re.compile(r"^[A-Za-z]:")


def unpack(path: Path, uri: str, folder: Path, limits: UnpackLimits) -> Unpacked:
    """Write what is inside the container at `path`; member i goes to ``folder / str(i)``.

    A member that cannot be taken is refused by itself. A container that is damaged gives what
    lies before the damage, and says so. Inner containers are opened up to `limits.depth`.

    Raises:
        ContainerRefused: too many files, or too large: nothing of it is taken.
        DocumentError: it cannot be opened at all.
    """
    unpacking = _Unpacking(folder, limits, packed_bytes=path.stat().st_size)
    unpacking.open(path, uri, prefix="", depth=1)
    return Unpacked(tuple(unpacking.members.values()), tuple(unpacking.refused))


@dataclass(slots=True)
class _Unpacking:
    folder: Path
    limits: UnpackLimits
    packed_bytes: int
    members: dict[str, Member] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    written_bytes: int = 0
    seen: int = 0

    def open(self, path: Path, uri: str, *, prefix: str, depth: int) -> None:
        with path.open("rb") as stream:
            kind = choose_parser(stream.read(HEAD_BYTES), uri)
        before = self.seen
        for entry in _entries(kind, path, uri):
            self.seen += 1
            if self.seen > self.limits.members:
                raise self._refuse(f"It holds more than {self.limits.members:,} files")
            self._take(entry, prefix, depth)
        if kind == "archive" and self.seen == before:
            error = EmptyDocument("The archive holds no files.", advice="Exclude it if that is as intended.")
            self._note(prefix.rstrip("/"), error)

    def _take(self, entry: Entry, prefix: str, depth: int) -> None:
        if entry.error is not None:
            where = _safe_name(entry.name) or ""
            name = prefix + where if where else prefix.rstrip("/")
            self._note(name, entry.error)
            return
        inner = _safe_name(entry.name)
        if inner is None or len(prefix + inner) > MAX_NAME_CHARACTERS:
            shown = ascii(entry.name[:100])
            error = ContainerRefused(
                f"A file with the name {shown} is not taken.", advice="Rename it in there."
            )
            self._note(prefix + f"(member {self.seen})", error)
            return
        name = prefix + inner
        target = self.folder / f"{self.seen}.part"
        try:
            member = self._write(entry, name, target)
        except DocumentError as error:
            if error.facts.get("whole"):
                raise
            target.unlink(missing_ok=True)
            self._note(name, error)
            return
        self._place(member, target, depth)

    def _write(self, entry: Entry, name: str, target: Path) -> Member:
        hasher, size = hashlib.sha256(), 0
        with _disk():
            out = target.open("wb")
        with out:
            for block in entry.blocks(_BLOCK):
                size += len(block)
                self.written_bytes += len(block)
                self._check_size(size)
                hasher.update(block)
                with _disk():
                    out.write(block)
        return Member(name, size, hasher.digest())

    def _check_size(self, size: int) -> None:
        if self.written_bytes > self.limits.total_bytes:
            raise self._refuse(f"Unpacked it is larger than {self.limits.total_bytes >> 20:,} MB")
        ratio = self.written_bytes / max(self.packed_bytes, 1)
        if self.written_bytes > RATIO_FROM_BYTES and ratio > self.limits.ratio:
            raise ContainerRefused(
                f"Unpacked it is more than {self.limits.ratio} times as large: nothing of it was taken.",
                advice="If it is no bomb, unpack it into the source.",
                whole=True,
            )
        if size > self.limits.member_bytes:
            raise ContainerRefused(
                f"Unpacked it has more than {self.limits.member_bytes >> 20} MB.",
                advice="Raise limits.max_file_mb in revector.toml, or split it.",
            )

    def _place(self, member: Member, target: Path, depth: int) -> None:
        """Keep the member, or what is inside it; of two with one name the later, as unpacking would."""
        with target.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        try:
            kind = choose_parser(head, member.name)
        except DocumentError:
            kind = ""
        if kind == "archive":
            try:
                self._open_inner(target, member, depth)
            finally:
                target.unlink(missing_ok=True)
            return
        if member.name in self.members:
            error = ContainerRefused(
                "Two files in there have this name: the later one was taken.", advice="Rename one."
            )
            self._note(f"{member.name} (earlier)", error)
        number = self.files.setdefault(member.name, len(self.files))
        kept = target.rename(self.folder / str(number))
        self.members[member.name] = member
        if kind in CONTAINERS:
            self._open_inner(kept, member, depth, is_document=True)

    def _open_inner(self, path: Path, member: Member, depth: int, *, is_document: bool = False) -> None:
        try:
            if depth >= self.limits.depth:
                self._refuse_depth(path, member, depth, is_document=is_document)
            else:
                self.open(path, member.name, prefix=member.name + "/", depth=depth + 1)
        except DocumentError as error:
            if error.facts.get("whole"):
                raise
            self._note(member.name, error, inside=is_document)

    def _refuse_depth(self, path: Path, member: Member, depth: int, *, is_document: bool) -> None:
        kind = choose_parser(path.read_bytes()[:HEAD_BYTES], member.name)
        if not is_document or next(_entries(kind, path, member.name), None) is not None:
            raise ContainerRefused(
                f"It lies {depth} containers deep; limits.unpack_depth = {self.limits.depth}.",
                advice="Unpack it into the source, or raise the limit.",
            )

    def _refuse(self, why: str) -> ContainerRefused:
        return ContainerRefused(
            f"{why}: nothing of it was taken.",
            advice="Unpack it into the source, or raise limits.unpack_* in revector.toml.",
            whole=True,
        )

    def _note(self, name: str, error: DocumentError, *, inside: bool = False) -> None:
        self.refused.append(Refused(name, type(error).__name__, str(error), inside))


def _entries(kind: str, path: Path, uri: str) -> Iterator[Entry]:
    if kind == "archive":
        yield from open_archive(path, uri)
        return
    if kind not in CONTAINERS:
        return
    attachments = importlib.import_module(f"tasks.parsing.{kind}").attachments
    used: set[str] = set()
    for number, (name, data) in enumerate(attachments(path.read_bytes()), start=1):
        plain = normalize("NFC", posixpath.basename(name.replace("\\", "/"))) or f"attachment-{number}"
        unique = next(n for k in count(1) if (n := plain if k == 1 else f"{k}-{plain}") not in used)
        used.add(unique)
        yield Entry(unique, partial(_as_blocks, data))


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is no fault of the container."""
    try:
        yield
    except OSError as exc:
        raise FetchFailed(
            f"It could not be unpacked ({exc.strerror}).", advice="Make room for REVECTOR_HOME.", whole=True
        ) from exc


def _as_blocks(data: bytes, size: int) -> Iterator[bytes]:
    """The data in blocks of that size."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _safe_name(name: str) -> str | None:
    """The path inside the container, None where it would lead out of it or has no name."""
    path = normalize("NFC", name.replace("\\", "/"))
    if path.startswith("/") or _DRIVE.match(path) or "\0" in path:
        return None
    try:
        path.encode()
    except UnicodeEncodeError:
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)
