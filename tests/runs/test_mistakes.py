"""The most confident mistakes of a run, kept as one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svhncli.data.digits import Digits
from svhncli.runs.mistakes import keep_mistakes, kept_mistakes


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 9, 14), (3, 64, 128)])
def test_images_of_mistakes_are_restored_exactly_from_their_sheet(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (80, *shape), dtype=np.uint8)
    labels = draw.integers(0, 10, (80, 1))
    digits = Digits(images, labels, np.arange(80), [f"n{i}" for i in range(80)])
    probabilities = draw.dirichlet(np.ones(10), (80, 1)).astype(np.float32)
    keep_mistakes(tmp_path, digits, np.arange(80), probabilities)
    kept = kept_mistakes(tmp_path)
    assert len(kept) == 64
    sure = [mistake.confidence for mistake, _ in kept]
    assert sure == sorted(sure, reverse=True)
    for mistake, image in kept:
        pixels = images[mistake.index].transpose(1, 2, 0)
        assert (np.asarray(image) == pixels).all()
        assert mistake.label != mistake.prediction
