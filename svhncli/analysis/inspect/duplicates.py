"""Images that occur twice, byte for byte or nearly: found without comparing every pair.

Candidates for near-duplicates come from a hash of the image's coarse structure (the signs of low frequencies
of its cosine transform: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), of
which few bits may differ; they are then verified on the pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

SIDE = 32
"""Pixels of the side of a thumbnail."""
LOW = 8
"""Frequencies in each direction that the hash uses; the constant one is left out."""
BITS = LOW * LOW - 1
CHUNKS = 5
RADIUS = 8
"""Bits that two hashes may differ in. Of 800 photographs that were moved by a pixel, changed in brightness
and stored as JPEG, 99% were within 6 bits, while unrelated ones differ in about 31."""
SHIFTS = ((0, 0), (1, 0), (0, 1))
"""Rows and columns by which an image is moved before the search. Every pair is searched in both directions,
so that these cover the opposite shifts, too."""
SMOOTH = 3
"""Powers of each coordinate, the constant included, whose products describe only the lighting of an image:
ramps and vignettes. (Cosines would leave most of a ramp.)"""
BLOCK = 1 << 18
"""Pairs that are compared at once: few enough to stay in the processor's cache."""


def digests(images: np.ndarray) -> np.ndarray:
    """A hash of every image's bytes, uint64 (N,): images uint8 (N, C, H, W) with one digest are equal.

    With 64 bits, the chance that two of a million different images collide is 3 in 100 million.
    """
    hashed = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    return np.frombuffer(hashed, np.uint64)


def resized(planes: np.ndarray, side: int) -> np.ndarray:
    """Means over areas: float32 (..., H, W) to (..., side, side)."""
    return _areas(planes.shape[-2], side) @ planes @ _areas(planes.shape[-1], side).T


def thumbnails(gray: np.ndarray) -> np.ndarray:
    """What near-duplicates are searched in: brightness float32 (N, H, W) in [0, 255] to uint8 (N, SIDE,
    SIDE)."""
    return np.rint(resized(gray, SIDE)).astype(np.uint8)


def hashes(small: np.ndarray) -> np.ndarray:
    """The perceptual hash of thumbnails (N, SIDE, SIDE), uint64 (N,): `BITS` signs of low frequencies.

    A change of brightness changes few bits, a shift by a pixel some. Bits of one frequency band are spread
    over the chunks in which `close_pairs` looks, since neighboring ones agree more often.
    """
    waves = _waves(LOW)
    signs = (waves @ small.astype(np.float32) @ waves.T).reshape(len(small), LOW * LOW)[:, 1:] > 0
    order = np.concatenate([np.arange(BITS)[chunk::CHUNKS] for chunk in range(CHUNKS)])
    return signs[:, order] @ (np.uint64(1) << np.arange(BITS, dtype=np.uint64))


def close_pairs(wanted: np.ndarray, known: np.ndarray, radius: int = RADIUS) -> np.ndarray:
    """Which hashes of `wanted` and `known`, both uint64 of `BITS` bits, differ in at most `radius` bits.

    Returns:
        int64 (P, 2): index in `wanted`, index in `known`; every such pair once, sorted.

    Hashes that differ in at most 9 bits differ in at most one bit of one of five chunks (the pigeonhole
    principle). So each chunk, and each neighbor of it by one bit, is looked up in a table: of all pairs, 1
    in 120 is compared.

    Raises:
        ValueError: a radius for which that does not hold.
    """
    if not 0 <= radius < 2 * CHUNKS:
        raise ValueError(f"a radius of {radius} bits: there are only {CHUNKS} chunks")
    matches = [np.empty(0, np.int64)]
    start = 0
    for chunk in range(CHUNKS):
        width = len(range(chunk, BITS, CHUNKS))
        keys = _chunk(known, start, width)
        asked = _chunk(wanted, start, width)
        order = np.argsort(keys, kind="stable")
        counts = np.bincount(keys, minlength=1 << width)
        firsts = np.cumsum(counts) - counts
        in_order = known[order]
        for flip in (0, *(1 << bit for bit in range(width))) if radius >= CHUNKS else (0,):
            for rows, places in _joined(firsts[asked ^ flip], counts[asked ^ flip]):
                near = _bits(wanted[rows] ^ in_order[places]) <= radius
                matches.append(rows[near] * len(known) + order[places[near]])
        start += width
    pairs = np.unique(np.concatenate(matches))
    return np.stack(np.divmod(pairs, max(1, len(known))), 1)


def near_pairs(small: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of thumbnails, uint8 (N, SIDE, SIDE), that show the same thing: int64 (P, 2), the lower index
    first, sorted, and their similarity, float32 (P,), of at least `least`."""
    n, known = len(small), hashes(small)
    wanted = np.concatenate([known, *(hashes(_moved(small, *shift)) for shift in SHIFTS[1:])])
    candidates = close_pairs(wanted, known)
    pairs = np.sort(np.stack([candidates[:, 0] % max(1, n), candidates[:, 1]], 1), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    alike = np.empty(len(pairs), np.float32)
    step = BLOCK // SIDE**2 * 8
    for start in range(0, len(pairs), step):
        rows = pairs[start : start + step]
        alike[start : start + step] = similarity(small[rows[:, 0]], small[rows[:, 1]])
    return pairs[alike >= least], alike[alike >= least]


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How alike thumbnails uint8 (N, SIDE, SIDE) are: float32 (N,), 1 for equal structure, about 0 for
    unrelated images.

    The normalized correlation of the pixels, the largest over shifts of up to a pixel. Light that changes
    slowly over the image is removed first, so that two smooth images, which correlate well whatever they
    show, count as unrelated.
    """
    first = _detail(a)[:, 1:-1, 1:-1]
    second = _detail(b)
    side = SIDE - 2
    best = np.full(len(a), -1, np.float32)
    for down in range(3):
        for right in range(3):
            window = second[:, down : down + side, right : right + side]
            best = np.maximum(best, _correlation(first, window))
    return np.minimum(best, 1)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = (images - images.mean((1, 2), keepdims=True) for images in (first, second))
    product = np.einsum("nhw,nhw->n", first, second)
    norm = np.einsum("nhw,nhw->n", first, first) * np.einsum("nhw,nhw->n", second, second)
    return product / np.sqrt(np.maximum(norm, 1e-6))


def _detail(small: np.ndarray) -> np.ndarray:
    """Thumbnails without their light, float32: less their projection on polynomials."""
    smooth = np.linalg.qr(np.vander(np.linspace(-1, 1, SIDE), SMOOTH))[0].astype(np.float32)
    onto = smooth @ smooth.T
    pixels = small.astype(np.float32)
    return pixels - onto @ pixels @ onto


def _moved(small: np.ndarray, down: int, right: int) -> np.ndarray:
    """Thumbnails moved by some pixels; the edge that comes in repeats the last one."""
    padded = np.pad(small, ((0, 0), (down, 0), (right, 0)), mode="edge")
    return padded[:, :SIDE, :SIDE]


def _waves(count: int) -> np.ndarray:
    """The first orthonormal functions of the cosine transform (DCT-II) of `SIDE` pixels: float32 (count,
    SIDE)."""
    frequency, pixel = np.arange(count)[:, None], np.arange(SIDE)
    waves = np.cos(np.pi * frequency * (2 * pixel + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _areas(size: int, side: int) -> np.ndarray:
    """How much of each of `size` pixels is in each of `side` larger or smaller ones: float32 (side, size),
    rows sum to 1."""
    edges, pixel = np.linspace(0, size, side + 1), np.arange(size)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(inside, 0, None) * side / size).astype(np.float32)


def _chunk(values: np.ndarray, start: int, width: int) -> np.ndarray:
    return ((values >> np.uint64(start)) & np.uint64((1 << width) - 1)).astype(np.int64)


def _joined(firsts: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For row r the places firsts[r], firsts[r] + 1, …, counts[r] of them: rows and places, about `BLOCK` at
    once."""
    ends = np.cumsum(counts)
    row = 0
    while row < len(counts):
        begun = ends[row] - counts[row]
        stop = max(row + 1, int(np.searchsorted(ends, begun + BLOCK, side="right")))
        some = counts[row:stop]
        rows = np.repeat(np.arange(row, stop), some)
        yield rows, np.arange(len(rows)) + np.repeat(firsts[row:stop] - (ends[row:stop] - some - begun), some)
        row = stop


def _bits(values: np.ndarray) -> np.ndarray:
    """How many bits of uint64 are set (Hacker's Delight, 5-2): numpy 1 has no function for it."""
    bits, pairs, nibbles = (
        np.uint64(mask) for mask in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    values = values - ((values >> np.uint64(1)) & bits)
    values = (values & pairs) + ((values >> np.uint64(2)) & pairs)
    values = (values + (values >> np.uint64(4))) & nibbles
    return (values * np.uint64(0x0101010101010101)) >> np.uint64(56)
