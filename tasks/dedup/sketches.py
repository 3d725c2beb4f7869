"""Compiled loops over hashes: MinHash, bottom-k sketches, comparison of pairs."""

from __future__ import annotations

import numpy as np

from tasks.dedup.kernels import compile_kernel

_BLOCK = 1024
_F1 = np.uint32(0x85EBCA6B)
_F2 = np.uint32(0xC2B2AE35)
_S13 = np.uint32(13)
_S16 = np.uint32(16)
_BYTE = np.uint32(0xFF)


@compile_kernel
def take_hashes(hashes, factors, offsets, minima, kept, states):  # type: ignore[no-untyped-def]
    """Take the hashes of the next piece of a text into its minhash and its sketches.

    Args:
        hashes: for each sketch (N,) uint32; those of the first one go into the minhash, too.
        factors: (K,) uint32, of the permutations.
        offsets: (K,) uint32, likewise.
        minima: (K,) uint32, lowered.
        kept: for each sketch (2 k,) uint32, added to; finally the k smallest are needed.
        states: (sketches, 2) int64: how many are kept; hashes from here on are not needed.
            At first 0 and 2^32.
    """
    _lower_minima(hashes[0], factors, offsets, minima)
    for sketch in range(len(kept)):
        fill, limit = states[sketch]
        values = kept[sketch]
        for value in hashes[sketch]:
            if value < limit:
                if fill == values.size:
                    fill, limit = _compact(values, fill, limit)
                values[fill] = value
                fill += 1
        states[sketch, 0], states[sketch, 1] = fill, limit


@compile_kernel
def finish_sketches(kept, states):  # type: ignore[no-untyped-def]
    """Sort the sketches and reduce each to the smallest of its hashes; states say how many."""
    for sketch in range(len(kept)):
        fill, limit = states[sketch]
        states[sketch, 0], states[sketch, 1] = _compact(kept[sketch], fill, limit)


@compile_kernel
def _lower_minima(hashes, factors, offsets, minima):  # type: ignore[no-untyped-def]
    """MinHash as datasketch's affine32: minima[k] = min(factors[k] * fmix32(h) + offsets[k])."""
    mixed = np.empty(_BLOCK, np.uint32)
    for start in range(0, hashes.size, _BLOCK):
        size = min(_BLOCK, hashes.size - start)
        for i in range(size):
            h = hashes[start + i]
            h = np.uint32(np.uint32(h ^ np.uint32(h >> _S16)) * _F1)
            h = np.uint32(np.uint32(h ^ np.uint32(h >> _S13)) * _F2)
            mixed[i] = np.uint32(h ^ np.uint32(h >> _S16))
        for k in range(minima.size):
            factor = factors[k]
            offset = offsets[k]
            least = minima[k]
            for i in range(size):
                least = min(least, np.uint32(np.uint32(factor * mixed[i]) + offset))
            minima[k] = least


@compile_kernel
def _compact(kept, fill, limit):  # type: ignore[no-untyped-def]
    size = kept.size // 2
    _sort(kept, fill)
    distinct = 0
    for i in range(fill):
        if distinct == 0 or kept[i] != kept[distinct - 1]:
            if distinct == size:
                break
            kept[distinct] = kept[i]
            distinct += 1
    return distinct, np.int64(kept[size - 1]) if distinct == size else limit


@compile_kernel
def _sort(values, count):  # type: ignore[no-untyped-def]
    """Radix sort, a byte at a time: the same time for any values."""
    source = values
    target = np.empty(count, np.uint32)
    for shift in (0, 8, 16, 24):
        places = np.zeros(257, np.int64)
        for i in range(count):
            places[((source[i] >> np.uint32(shift)) & _BYTE) + 1] += 1
        for i in range(256):
            places[i + 1] += places[i]
        for i in range(count):
            digit = (source[i] >> np.uint32(shift)) & _BYTE
            target[places[digit]] = source[i]
            places[digit] += 1
        source, target = target, source


@compile_kernel
def estimate_pairs(minima, comparable, left, right, equal):  # type: ignore[no-untyped-def]
    """How many of the minima of each pair are equal; -1 where the two cannot be compared.

    Args:
        minima: (N, 128) uint32.
        comparable: (N,) int64: pairs of another number, or of 0, are not compared.
        left: (P,) int64 rows.
        right: (P,) int64 rows.
        equal: (P,) int64, written to.
    """
    for pair in range(left.size):
        a, b = left[pair], right[pair]
        if comparable[a] == 0 or comparable[a] != comparable[b]:
            equal[pair] = -1
            continue
        count = 0
        for k in range(minima.shape[1]):
            count += minima[a, k] == minima[b, k]
        equal[pair] = count


@compile_kernel
def overlap(values, starts, covers, a, b):  # type: ignore[no-untyped-def]
    """What two bottom-k sketches say of their sets, as far as both reach.

    Returns:
        How many hashes are in both, in the first alone, in the second alone.
    """
    i, i_end = starts[a], starts[a + 1]
    j, j_end = starts[b], starts[b + 1]
    limit = min(covers[a], covers[b])
    both = 0
    first = 0
    second = 0
    while i < i_end and j < j_end:
        x, y = values[i], values[j]
        if min(x, y) > limit:
            return both, first, second
        both += x == y
        first += x < y
        second += y < x
        i += x <= y
        j += y <= x
    while i < i_end and values[i] <= limit:
        first += 1
        i += 1
    while j < j_end and values[j] <= limit:
        second += 1
        j += 1
    return both, first, second


@compile_kernel
def overlap_pairs(values, starts, covers, left, right, chosen, counts):  # type: ignore[no-untyped-def]
    """`overlap` of the chosen pairs: counts (P, 3) int64 is written to."""
    for pair in range(left.size):
        if chosen[pair]:
            a, b = left[pair], right[pair]
            counts[pair, 0], counts[pair, 1], counts[pair, 2] = overlap(values, starts, covers, a, b)


@compile_kernel
def count_bits(bits, chosen, left, right, distances):  # type: ignore[no-untyped-def]
    """Hamming distances of the chosen pairs of (N, W) uint32 bits: (P,) int64 is written to."""
    for pair in range(left.size):
        if chosen[pair]:
            count = 0
            for k in range(bits.shape[1]):
                x = bits[left[pair], k] ^ bits[right[pair], k]
                while x:
                    x &= x - np.uint32(1)
                    count += 1
            distances[pair] = count
