"""The files that are damaged, and mutant number n of a seed."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from fnmatch import fnmatch
from pathlib import Path

from tests.acceptance.fuzz.mutate import mutate
from tests.acceptance.fuzz.packed import mutate_inside

FIXTURES = Path(__file__).parents[2] / "formats" / "fixtures"
INSIDE_SHARE = 0.5
"""Of the mutants of a packed format: the others mostly end at the package's own checks."""
_DATE = (2024, 3, 15, 9, 30, 0)
_MEMBERS = ("report.en.docx", "report.ko.cp949.txt", "table.ko.csv", "report.ko.html", "features.hwp")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A damaged file.

    Attributes:
        number: reproduces it, with the campaign's seed and files.
        name: of the file in the source; begins with the number.
        origin: the file that was damaged.
        how: what was done to it.
        data: its bytes.
    """

    number: int
    name: str
    origin: str
    how: str
    data: bytes

    @property
    def format(self) -> str:
        """Suffix of the file, ``tar.gz`` in full."""
        return "tar.gz" if self.origin.endswith(".tar.gz") else self.origin.rpartition(".")[2]


def load_origins(pattern: str = "*") -> dict[str, bytes]:
    """By name, in order: every fixture and some containers, those whose name matches."""
    files = {path.name: path.read_bytes() for path in sorted(FIXTURES.iterdir()) if path.is_file()}
    every = {**files, **_containers({name: files[name] for name in _MEMBERS})}
    return {name: data for name, data in every.items() if fnmatch(name, pattern)}


def make_mutant(seed: int, number: int, origins: Mapping[str, bytes]) -> Mutant:
    """Mutant `number`: of file `number` modulo their count, so that each has its share."""
    rng = random.Random(f"{seed} {number}")
    names = list(origins)
    origin = names[number % len(names)]
    data, other = origins[origin], _partner(rng, origin, origins)
    made = mutate_inside(rng, data, other) if rng.random() < INSIDE_SHARE else None
    how, damaged = made or mutate(rng, data, other)
    if rng.random() < 0.2:
        more, damaged = mutate(rng, damaged, other)
        how = f"{how}, {more}"
    return Mutant(number, f"{number:06d}.{origin}", origin, how, damaged)


def _partner(rng: random.Random, origin: str, origins: Mapping[str, bytes]) -> bytes:
    """Another file, every other time of the same format."""
    suffix = origin.rpartition(".")[2]
    same = [name for name in origins if name.rpartition(".")[2] == suffix and name != origin]
    return origins[rng.choice(same if same and rng.random() < 0.5 else list(origins))]


def _containers(members: Mapping[str, bytes]) -> dict[str, bytes]:
    packed = _zip(members)
    mail = _mail({**members, "inner.zip": packed})
    nested = _zip({"deep/inner.tar.gz": _tar_gz({"innermost.zip": packed, "mail.eml": mail}), **members})
    return {
        "made.mail.eml": mail,
        "made.nested.zip": nested,
        "made.tar.gz": _tar_gz(members),
        "made.text.gz": gzip.compress(members["report.ko.cp949.txt"], mtime=0),
        "made.zip": packed,
    }


def _zip(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return packed.getvalue()


def _tar_gz(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def _mail(attachments: Mapping[str, bytes]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "Kim <kim@example.org>", "lee@example.org"
    message["Subject"] = "분기 보고서와 첨부"
    message["Date"] = "Fri, 15 Mar 2024 09:30:00 +0900"
    message.set_content("The quarterly report is attached.\n\n보고서를 첨부합니다.\n")
    for name, data in attachments.items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    message.set_boundary("=-=fuzz-boundary=-=")
    return message.as_bytes()
