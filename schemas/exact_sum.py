"""Exact sums of vectors: adding and taking away in any order gives the same bits.

Floating-point addition is not associative: a prototype kept up to date image by image would differ in
its last bits from one made anew, and two sets could not be compared by their digests. So vectors are
summed as integers.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError, EmbeddingFailed

Sum = NDArray[np.int64]
Vectors = NDArray[np.float32]

UNIT: Final = 2.0**40
"""Units in 1: a value of 2**-16 and more keeps all 24 bits of its float32."""
MAX_IMAGES: Final = 2**22
"""Of one class: 2**22 values of at most 2**40 stay under half of what int64 holds."""

_LARGEST = 1.001
"""No value of a unit vector is above 1 but for rounding; a little more still cannot overflow."""
_SHORTEST = UNIT * 1e-3
"""A sum shorter than a thousandth of one image points where rounding made it point."""
_ROWS = 4096


def quantise(vectors: Vectors) -> Sum:
    """(N, D) int64, in units of 2**-40, rounded half to even.

    The product is exact in float64, so every machine gives the same bits.

    Args:
        vectors: (N, D) float32 of unit length.

    Raises:
        EmbeddingFailed: a value is not finite, or above 1.
    """
    # written so that NaN, which compares as false, is caught as well
    if not bool((np.abs(vectors) <= _LARGEST).all()):
        raise EmbeddingFailed(
            "A vector holds a value that is not a number, or is not of unit length.",
            advice="Its image cannot be used with this model: remove it, or try precision float32.",
        )
    return np.rint(vectors.astype(np.float64) * UNIT).astype(np.int64)


def add(total: Sum, vectors: Vectors, signs: NDArray[np.int64] | int = 1) -> Sum:
    """(D,) int64: the sum with vectors added to it or taken away; the one given is not changed.

    Args:
        total: (D,) int64; zeros to begin with.
        vectors: (N, D) float32 of unit length.
        signs: (N,) 1 for a vector that is added, -1 for one taken away; or one of them for all.

    Raises:
        EmbeddingFailed: see `quantise`.
    """
    weights = np.broadcast_to(np.asarray(signs, np.int64), (len(vectors),))
    result = total.copy()
    # integers wrap around, so what lies between cannot overflow either: the end is exact
    for start in range(0, len(vectors), _ROWS):
        part = slice(start, start + _ROWS)
        result += (quantise(vectors[part]) * weights[part, None]).sum(axis=0)
    return result


def require_countable(name: str, images: int) -> None:
    """Nothing, if the sum of that many images is exact.

    Raises:
        ConfigurationError: it could overflow.
    """
    if images > MAX_IMAGES:
        raise ConfigurationError(
            f"The class {name!r} has {images} images; {MAX_IMAGES} are the most a class can have.",
            advice="Divide its folder into several classes.",
        )


def mean_vector(total: Sum) -> Vectors | None:
    """(D,) float32 of unit length, the direction of a sum; None where it has none.

    Images that point in opposite directions cancel each other out: what is left over is rounding.
    No BLAS takes part, and the one sum is correctly rounded: every machine gives the same bits.
    """
    values = total.astype(np.float64)
    length = math.sqrt(math.fsum((values * values).tolist()))
    return None if length < _SHORTEST else (values / length).astype(np.float32)
