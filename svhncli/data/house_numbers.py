"""House numbers of the cropped SVHN files, which have no ids: inferred from the pixels that neighbors share.

A crop is the square around a digit's box, cut from the photograph and resized. Crops of a number follow each
other from left to right at the same scale (of 39,855 neighbors in the official data, 99.7% have boxes of the
same height), so the right part of a crop appears again as the left part of the next one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from svhncli.core.processes import available_cpus
from svhncli.data.store.disk import Count, silent

NOISE = 100.0
"""Variance (gray levels squared) below which a wall counts as flat: blur, JPEG and subpixel shifts."""

PER_NUMBER = 4
"""Crops of a number on average, above which images that look alike are no crops: SVHN has 2.2."""

BLOCK = 1024
"""Crops that a thread reads at once."""

CHUNK = 32
"""Crops compared at once: few enough that malloc reuses its memory; mapping it anew took half the time."""


def house_numbers(images: np.ndarray, labels: np.ndarray, progress: Count = silent) -> np.ndarray:
    """Group ids int64 (N,), counted from 0: consecutive crops that seem to show one house number share an id.

    images: uint8 (N, 3, H, W) in the file's order, possibly memory-mapped (read once, front to back).
    labels: int64 (N, 1).

    When in doubt, crops are joined: a number that is split leaks from training into validation, whereas two
    joined numbers only leave a split less freedom. Two crops are joined if their best overlap differs by no
    more than it varies (`overlap_difference` at most 1), or if the second one shows a 0: of 46,470 official
    numbers, 0.2% begin with a 0, but 12% of the later digits are 0.
    """
    joined = (overlap_difference(images, progress) <= 1) | (labels[1:, 0] == 0)
    return np.concatenate([np.zeros(min(len(images), 1), np.int64), np.cumsum(~joined, dtype=np.int64)])


def inferred(images: np.ndarray, labels: np.ndarray, progress: Count = silent) -> np.ndarray:
    """Group ids int64 (N,) of images that may be SVHN's crops in their order, or others: `house_numbers`,
    unless so many neighbors look alike that they are not crops of house numbers; then each is a group.
    """
    numbers = house_numbers(images, labels, progress)
    alike = len(images) > PER_NUMBER * (numbers.max(initial=-1) + 1)
    return np.arange(len(images)) if alike else numbers


def overlap_difference(images: np.ndarray, progress: Count = silent) -> np.ndarray:
    """How much each crop and the next differ where they overlap best; float32 (N - 1,).

    Crops are compared at half their size (means of 2×2 pixels), at a quarter of the cost: on real crops, as
    many numbers are split or joined by mistake as at full size. The second crop is laid over the first at
    every whole shift of 0 to W - 1 pixels to the right and of up to H/2 up or down. The result is the minimum
    over the shifts of

        mean squared difference / (mean variance of the two overlaps + NOISE),

    which is close to 0 for shared pixels and close to 2 for unrelated ones with the same mean color. Overlaps
    of only the last columns still compare the walls of two crops that only touch. All shifts together cost
    one product of Fourier transforms, since sum (a - b)² = sum a² + sum b² - 2 sum ab.
    """
    height, width = images.shape[2] // 2, images.shape[3] // 2
    # Each overlap ends in a corner of both images, so its sums are products with 0/1 matrices.
    down = np.arange(-(height // 2), height // 2 + 1)
    rows = _covered(height, down)
    columns = _covered(width, np.arange(width))

    def compare(start: int) -> np.ndarray:
        block = images[start : start + BLOCK + 1]
        chunks = [block[i : i + CHUNK + 1] for i in range(0, len(block) - 1, CHUNK)]
        return np.concatenate([_compare(chunk, down, rows, columns) for chunk in chunks])

    with ThreadPoolExecutor(available_cpus()) as pool:
        parts = [np.empty(0, np.float32)]
        for part in pool.map(compare, range(0, len(images) - 1, BLOCK)):
            parts.append(part)
            progress(min(BLOCK * (len(parts) - 1), len(images)), len(images))
    return np.concatenate(parts)


def _covered(size: int, shifts: np.ndarray) -> np.ndarray:
    """1 where a line of `size` pixels is covered by another line that is moved by each shift, else 0."""
    pixel, shift = np.arange(size), shifts[:, None]
    return ((pixel >= shift) & (pixel < size + shift)).astype(np.float32)


def _compare(images: np.ndarray, down: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    import scipy.fft

    height, width = rows.shape[1], columns.shape[1]
    pixels = halved(images) - 128  # centered: large sums lose less precision where they cancel
    channels = pixels.shape[1]
    squares = np.einsum("nchw,nchw->nhw", pixels, pixels)[:, None]
    terms = np.concatenate([pixels, squares], axis=1)
    first = rows @ (terms[:-1] @ columns.T)
    # Copied, since a product with a reversed view is twice as slow.
    second = rows[:, ::-1].copy() @ (terms[1:] @ columns[:, ::-1].T.copy())
    square = first[:, -1] + second[:, -1]
    mean = np.square(first[:, :-1]).sum(1) + np.square(second[:, :-1]).sum(1)

    # Padded so that no shift wraps around into pixels that it does not cover.
    shape = [scipy.fft.next_fast_len(size, real=True) for size in (height + height // 2, 2 * width)]
    spectrum = scipy.fft.rfft2(pixels, s=shape)
    product = (spectrum[:-1] * spectrum[1:].conj()).sum(1)
    cross = scipy.fft.irfft2(product, s=shape)[:, down, :width]

    area = rows.sum(1)[:, None] * columns.sum(1)
    difference = (square - 2 * cross) / (channels * area)
    variance = (square - mean / area) / (2 * channels * area)
    return (difference / (variance + NOISE)).min((1, 2))


def halved(images: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels, float32: (N, C, H, W) -> (N, C, H // 2, W // 2); odd edges are dropped."""
    even = images[:, :, : images.shape[2] // 2 * 2, : images.shape[3] // 2 * 2].astype(np.float32)
    lines = even[:, :, ::2] + even[:, :, 1::2]
    return (lines[..., ::2] + lines[..., 1::2]) / 4
