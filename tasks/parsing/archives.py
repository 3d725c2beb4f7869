"""The files in a zip, a tar or a compressed file, one after the other, none of them in memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from schemas.document import ParsedDocument
from schemas.errors import ContainerRefused, DocumentError, EncryptedDocument, ParseFailed, UnsupportedFormat

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
    ValueError, OverflowError, IndexError, UnicodeError,
)  # fmt: skip
_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_PACKED_SUFFIXES = {".gz": "", ".bz2": "", ".xz": "", ".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}
_TAR_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz")
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1


def _no_blocks(size: int) -> Iterator[bytes]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a container: its name as written there, and its bytes in blocks of a size.

    `error` says why it cannot be read; without a name it is the container's own.
    """

    name: str
    blocks: Callable[[int], Iterator[bytes]] = _no_blocks
    error: DocumentError | None = None


def parse(data: bytes) -> ParsedDocument:
    """An archive is no document: its files are, as soon as planning has looked inside.

    Raises:
        UnsupportedFormat: always.
    """
    raise UnsupportedFormat(
        "It is an archive, which planning had not looked into.",
        advice="Ingest again. On a remote source, give the archive its suffix (.zip, .tar, .tar.gz).",
    )


def open_archive(path: Path, uri: str) -> Iterator[Entry]:
    """Its files in their order; folders are left out. `uri` names what a compressed file holds.

    An entry's blocks can be read until the next entry is asked for.

    Raises:
        DocumentError: it cannot be opened at all.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if head.startswith(b"PK"):
        return _zip_entries(path)
    return _tar_entries(path) if opener is None else _compressed(path, uri, opener)


def _zip_entries(path: Path) -> Iterator[Entry]:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as exc:
        raise _damaged() from exc
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        if files and all(info.flag_bits & _ENCRYPTED_FLAG for info in files):
            raise _encrypted()
        for info in files:
            name = _zip_name(info)
            if info.flag_bits & _ENCRYPTED_FLAG:
                yield Entry(name, error=_encrypted())
            else:
                yield Entry(name, partial(_read, partial(archive.open, info)))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name in UTF-8; without its flag old tools wrote it, or CP949 on a Korean Windows."""
    if info.flag_bits & _UTF8_FLAG:
        return info.filename
    try:
        raw = info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    return _decode_name(raw)


def _decode_name(raw: bytes) -> str:
    for encoding in ("utf-8", "cp949", "cp437"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _tar_entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as stream:
        yield from _tar_stream(stream)


class _Header(tarfile.TarInfo):
    """Keeps why no further header was found: `tarfile` takes a cut or damaged one for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as exc:
            archive.ended_by = exc  # type: ignore[attr-defined]
            raise


def _tar_stream(stream: IO[bytes]) -> Iterator[Entry]:
    """Members of a tar that is read once from front to end; damage ends it with an error."""
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape", tarinfo=_Header) as archive:
            for info in archive:
                if info.isdir():
                    continue
                count += 1
                name = _decode_name(info.name.encode("utf-8", "surrogateescape"))
                if not info.isreg():
                    yield Entry(name, error=_no_file())
                else:
                    yield Entry(name, partial(_read, partial(archive.extractfile, info)))
            if type(getattr(archive, "ended_by", None)).__name__ != "EOFHeaderError":
                raise tarfile.ReadError("it ends without its end mark")
            while stream.read(1 << 20):  # a checksum stands at the end of what is compressed
                pass
    except _DAMAGE as exc:
        if count == 0:
            raise _damaged() from exc
        yield Entry("", error=_cut_off(count))


def _compressed(path: Path, uri: str, opener: Callable[[Path], Any]) -> Iterator[Entry]:
    """A compressed tar's files, or the one file that was compressed."""
    with _opened(opener, path) as stream:
        if _is_tar(stream.read(512)):
            stream.seek(0)
            yield from _tar_stream(stream)
            return
    if PurePosixPath(uri).name.lower().endswith(_TAR_SUFFIXES):
        raise _damaged()
    yield Entry(_inner_name(uri), partial(_read, partial(opener, path)))


@contextmanager
def _opened(opener: Callable[[Path], Any], path: Path) -> Iterator[IO[bytes]]:
    try:
        with opener(path) as stream:
            stream.read(1)
            stream.seek(0)
            yield stream
    except _DAMAGE as exc:
        raise _damaged() from exc


def _is_tar(block: bytes) -> bool:
    """Whether a block is a tar header: its checksum holds."""
    if len(block) < 512 or not block.strip(b"\0"):
        return False
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _inner_name(uri: str) -> str:
    name = PurePosixPath(uri).name
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix.lower()
    return stem + _PACKED_SUFFIXES[suffix] if suffix in _PACKED_SUFFIXES else f"{name}.content"


def _read(open_member: Callable[[], IO[bytes] | None], size: int) -> Iterator[bytes]:
    try:
        stream = open_member()
        assert stream is not None
        with stream:
            while block := stream.read(size):
                yield block
    except RuntimeError as exc:  # what zipfile says of a password
        raise _encrypted() from exc
    except _DAMAGE as exc:
        raise _damaged() from exc


def _damaged() -> ParseFailed:
    return ParseFailed("The archive is damaged or cut off.", advice="Fetch it again, or exclude it.")


def _cut_off(count: int) -> ParseFailed:
    return ParseFailed(
        f"The archive is damaged or cut off after {count} files; those were taken.",
        advice="Fetch it again: what is missing of it is left as it was.",
    )


def _encrypted() -> EncryptedDocument:
    return EncryptedDocument("It needs a password.", advice="Pack it without one.")


def _no_file() -> ContainerRefused:
    return ContainerRefused(
        "It is a link or a device in an archive, which is not followed.", advice="Pack the file itself."
    )
