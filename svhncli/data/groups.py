"""House numbers of the cropped SVHN files, which carry no ids: found from the pixels that neighbours share.

A crop is the square around a digit's box, cut from the whole photograph and resized. Crops of one number
follow each other from left to right, at one scale (of 39,855 official neighbours 99.7% have boxes of one
height), so the right part of a crop shows again as the left part of the next one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from svhncli.data.disk import Count, silent

NOISE = 100.0
"""Variance (grey levels squared) below which a wall counts as flat: blur, JPEG and sub-pixel shifts."""

BLOCK = 1024
"""Crops read at once by a thread."""

CHUNK = 8
"""Crops compared at once: so few that malloc need not map their arrays anew, which took half the time."""


def house_numbers(images: np.ndarray, labels: np.ndarray, progress: Count = silent) -> np.ndarray:
    """Group ids int64 (N,), counted from 0, one for each run of crops that seem to show one house number.

    images: uint8 (N, 3, H, W) in the file's order, possibly memory-mapped (read once, front to back).
    labels: int64 (N, 1).

    When in doubt it joins, since a number that is torn apart leaks from training into validation, while two
    numbers held together only leave a split less freedom. Crops are joined where their best overlap differs
    by no more than it varies (`overlap_difference` at most 1), and where the second one shows a 0: of 46,470
    official numbers 0.2% begin with one, of the digits that follow 12% are one.
    """
    joined = (overlap_difference(images, progress) <= 1) | (labels[1:, 0] == 0)
    return np.concatenate([np.zeros(min(len(images), 1), np.int64), np.cumsum(~joined, dtype=np.int64)])


def overlap_difference(images: np.ndarray, progress: Count = silent) -> np.ndarray:
    """How much each crop and the next differ where they overlap best; float32 (N - 1,).

    The second crop is laid over the first at every whole shift of 0 to W - 1 pixels to the right and of up to
    H/2 up or down. The least value over the shifts is taken of

        mean squared difference / (mean variance of the two overlaps + NOISE),

    which is near 0 for shared pixels and near 2 for strangers of the same mean colour. The last columns alone
    still compare the walls where two crops only touch. All shifts at once cost one product of Fourier
    transforms, since sum (a - b)² = sum a² + sum b² - 2 sum ab.
    """
    _, _, height, width = images.shape
    # Each overlap ends in a corner of either picture, so that its sums are products with 0/1 matrices.
    down = np.arange(-(height // 2), height // 2 + 1)
    rows = _covered(height, down)
    columns = _covered(width, np.arange(width))

    def compare(start: int) -> np.ndarray:
        block = images[start : start + BLOCK + 1]
        chunks = [block[i : i + CHUNK + 1] for i in range(0, len(block) - 1, CHUNK)]
        return np.concatenate([_compare(chunk, down, rows, columns) for chunk in chunks])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [np.empty(0, np.float32)]
        for part in pool.map(compare, range(0, len(images) - 1, BLOCK)):
            parts.append(part)
            progress(min(BLOCK * (len(parts) - 1), len(images)), len(images))
    return np.concatenate(parts)


def _covered(size: int, shifts: np.ndarray) -> np.ndarray:
    """1 where a line of `size` pixels is covered by another one that is moved by each shift, else 0."""
    pixel, shift = np.arange(size), shifts[:, None]
    return ((pixel >= shift) & (pixel < size + shift)).astype(np.float32)


def _compare(images: np.ndarray, down: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    import scipy.fft

    _, channels, height, width = images.shape
    pixels = images.astype(np.float32) - 128  # centred: less is lost where large sums cancel
    squares = np.einsum("nchw,nchw->nhw", pixels, pixels)[:, None]
    terms = np.concatenate([pixels, squares], axis=1)
    first = rows @ (terms[:-1] @ columns.T)
    second = rows[:, ::-1] @ (terms[1:] @ columns[:, ::-1].T)
    square = first[:, -1] + second[:, -1]
    mean = np.square(first[:, :-1]).sum(1) + np.square(second[:, :-1]).sum(1)

    # Padded so that a shift never wraps round into pixels that it does not cover.
    shape = [scipy.fft.next_fast_len(size, real=True) for size in (height + height // 2, 2 * width)]
    spectrum = scipy.fft.rfft2(pixels, s=shape)
    product = (spectrum[:-1] * spectrum[1:].conj()).sum(1)
    cross = scipy.fft.irfft2(product, s=shape)[:, down, :width]

    area = rows.sum(1)[:, None] * columns.sum(1)
    difference = (square - 2 * cross) / (channels * area)
    variance = (square - mean / area) / (2 * channels * area)
    return (difference / (variance + NOISE)).min((1, 2))
