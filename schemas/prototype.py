"""Class prototypes: what they are, what is known of their quality, and what classifying answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "unknown"
"""The verdict for an image that is near to no class, or as near to another one."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When an image is taken for its nearest class.

    Attributes:
        tau1: least cosine similarity to it.
        tau2: least margin: how much less similar the second class must be.
    """

    tau1: float
    tau2: float


@dataclass(frozen=True, slots=True)
class Prototype:
    """The prototype of one class.

    Attributes:
        name: of the class, NFC.
        images: how many it was made from.
        sum: (D,) int64, exact sum of their unit vectors in units of 2**-40 (`schemas.exact_sum`):
            adding and taking away in any order gives the same bits.
        vectors: (k, D) float32 of unit length; one, their normalised mean, unless k was asked for.
    """

    name: str
    images: int
    sum: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def hash(self, space: bytes) -> bytes:
        """32 bytes that identify it; `space` is the fingerprint of the embedding space."""
        h = hashlib.sha256(b"revector prototype 1")
        for part in (space, self.name.encode(), self.images.to_bytes(8, "big")):
            h.update(len(part).to_bytes(8, "big") + part)
        h.update(self.sum.astype("<i8").tobytes())
        h.update(self.vectors.astype("<f4").tobytes())
        return h.digest()


@dataclass(frozen=True, slots=True)
class PrototypeSet:
    """A version of a collection's prototypes; the highest version is in use.

    Attributes:
        version: 1, 2, 3 ... of the collection.
        release: whose images it was first made from; `release_digest` is that release's.
        seen_release: the last release that was current while it was in use.
        space_id: the embedding space of the vectors.
        settings: fingerprint of the settings it was made by.
        thresholds: tau1 and tau2.
        digest: over prototypes and thresholds; equal sets have equal digests.
        report: what is known of its quality, JSON values.
        is_rollback: it was chosen by hand, and stays in use until the next release.
        note: what made it, where that was no build.
        prototypes: by name of the class, sorted; empty where only the history is listed.
    """

    version: int
    release: int
    release_digest: bytes
    seen_release: int
    space_id: int
    settings: bytes
    thresholds: Thresholds
    digest: bytes
    report: dict[str, Any]
    is_rollback: bool = False
    note: str = ""
    created_at: datetime | None = None
    prototypes: tuple[Prototype, ...] = ()

    @property
    def images_release(self) -> int:
        """The last release that has its images: a set chosen by hand is not of the release it serves."""
        return self.release if self.is_rollback else self.seen_release


def set_digest(hashes: Iterable[bytes], thresholds: Thresholds) -> bytes:
    """32 bytes that identify a set: its prototypes by `Prototype.hash`, in any order, and its thresholds."""
    h = hashlib.sha256(b"revector prototypes 1")
    h.update(np.array([thresholds.tau1, thresholds.tau2], "<f8").tobytes())
    for one in sorted(hashes):
        h.update(one)
    return h.digest()


@dataclass(frozen=True, slots=True)
class Members:
    """Images that have a class, ordered by class and uri.

    Attributes:
        classes: (C,) names, sorted.
        owners: (N,) int64, index of the class of each image.
        uris: (N,) of the documents.
        chunks: (N,) int64 ids.
        vectors: (N, D) float32 of unit length.
    """

    classes: tuple[str, ...]
    owners: NDArray[np.int64]
    uris: tuple[str, ...]
    chunks: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A class without a prototype, and why."""

    name: str
    images: int
    reason: str


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """How the images of a set compare with its prototypes, each as if it were new.

    Made by `tasks.prototypes.calibrate`. Images of classes without a prototype are not in it: N are.
    A class is named by its index among those with a prototype, sorted by name.

    Attributes:
        images: (N,) int64, index of each image in `Members`.
        owners: (N,) int64, index of its class.
        own: (N,) float64, similarity to its class without the image; NaN where nothing of it is left.
        nearest: (N,) int64, index of the nearest other class; -1 where there is no other.
        other: (N,) float64, similarity to that one; NaN where there is none.
        second: (N,) float64, similarity to the nearest other class but that one; NaN where there is none.
    """

    images: NDArray[np.int64]
    owners: NDArray[np.int64]
    own: NDArray[np.float64]
    nearest: NDArray[np.int64]
    other: NDArray[np.float64]
    second: NDArray[np.float64]

    @property
    def is_measured(self) -> NDArray[np.bool_]:
        """(N,): something of the class is left without the image."""
        return ~np.isnan(self.own)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,): index of the class that the image is nearest to; of equally near ones the first by name."""
        tied = (self.own == self.other) & (self.owners < self.nearest)
        is_right = (self.nearest < 0) | (self.own > self.other) | tied
        return np.where(is_right, self.owners, self.nearest)

    @property
    def known(self) -> Scores:
        """Of all N images: how near the nearest class is; NaN where not measured."""
        best = np.fmax(self.own, self.other)
        runner_up = np.fmax(np.fmin(self.own, self.other), self.second)
        s1 = np.where(self.is_measured, best, np.nan)
        return Scores(s1, np.where(self.nearest < 0, s1, np.round(s1 - runner_up, 6)))

    @property
    def unknown(self) -> Scores:
        """Of all N images, as if their own class did not exist: what an unknown class looks like.

        Where one class is left there is no margin to speak of, NaN: with both classes there would be one.
        """
        return Scores(self.other, np.round(self.other - self.second, 6))


@dataclass(frozen=True, slots=True)
class Scores:
    """What `Verdict` says in numbers, of N images; NaN where there is nothing to say.

    Attributes:
        s1: (N,) float64, similarity to the nearest class.
        margin: (N,) float64, how much less similar the second one is; s1 itself where there never was
            a second.
    """

    s1: NDArray[np.float64]
    margin: NDArray[np.float64]

    def accept(self, thresholds: Thresholds) -> NDArray[np.bool_]:
        """(N,): both thresholds are reached; one that could not be measured stops nothing."""
        return (self.s1 >= thresholds.tau1) & ~(self.margin < thresholds.tau2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What classifying one image answers.

    Attributes:
        top_k: (class, cosine similarity) of the nearest classes, the nearest first.
        verdict: the nearest class, or `UNKNOWN`.
        s1: similarity to the nearest class.
        margin: how much less similar the second one is; s1 itself where there is no second.
        is_unknown: s1 under tau1, or margin under tau2.
    """

    top_k: tuple[tuple[str, float], ...]
    verdict: str
    s1: float
    margin: float
    is_unknown: bool


@dataclass(slots=True)
class BuildReport:
    """What building prototypes did.

    Attributes:
        version: of the set that is in use now; None where there are no classes.
        made: whether this run made it.
        classes: in the set; `left_out` are those with too few images.
        changed, added, lost: names of classes that differ from the set before.
        images: that the prototypes were made from; `read` is how many vectors were read for their sums.
        release: whose images.
        seconds: wall time.
    """

    version: int | None = None
    made: bool = False
    digest: str | None = None
    classes: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    images: int = 0
    read: int = 0
    release: int | None = None
    seconds: float = 0.0

    def counts(self) -> dict[str, Any]:
        """What is remembered of it with its run: numbers, and no names that would have to be forgotten."""
        names = {key: len(getattr(self, key)) for key in ("left_out", "changed", "added", "lost")}
        facts = ("version", "made", "digest", "classes", "images", "read", "release")
        return {**{key: getattr(self, key) for key in facts}, **names}
