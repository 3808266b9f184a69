"""Rendered photographs without a number beside those with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import link_faces

from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing
from svhncli.data.sources import synth_full
from svhncli.data.store.cache import Cache

pytestmark = pytest.mark.engine

FRAMING = Framing(16, 32, "boxes", 0.15, 0.1)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    link_faces(tmp_path)
    return Cache(tmp_path)


def load(cache: Cache, **options: Any) -> DataSet:
    return synth_full.load(FRAMING, n_train=20, n_test=10, seed=0, cache=cache, **options)


def test_blank_photographs_follow_the_same_photographs_of_numbers(cache: Cache) -> None:
    without, data = load(cache), load(cache, blank=0.3)
    assert data.test is not None
    assert without.test is not None
    for digits, before, n in ((data.train, without.train, 20), (data.test, without.test, 10)):
        blank = round(0.3 * n)
        assert digits.is_blank.tolist() == [False] * n + [True] * blank
        np.testing.assert_array_equal(digits.images[:n], before.images)
        np.testing.assert_array_equal(digits.labels[:n], before.labels)
        np.testing.assert_array_equal(digits.boxes[:n], before.boxes)
        assert np.isnan(digits.boxes[n:]).all()
        assert len({image.tobytes() for image in digits.images}) == n + blank
    groups = np.concatenate([data.train.groups, data.test.groups])
    assert len(np.unique(groups)) == len(groups)
    assert data.fingerprint != without.fingerprint


def test_parts_share_no_blank_photograph(cache: Cache) -> None:
    data = load(cache, blank=0.9)
    assert data.test is not None
    train, test = ({image.tobytes() for image in part.images} for part in (data.train, data.test))
    assert train.isdisjoint(test)


def test_without_blank_photographs_the_cache_has_the_key_that_it_always_had(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[set[str]] = []
    opened = Cache.open

    def recorded(self: Cache, name: str, key: dict[str, Any], *others: Any, **options: Any) -> Path:
        if name.startswith("synth_full"):
            keys.append({*key})
        return opened(self, name, key, *others, **options)

    monkeypatch.setattr(Cache, "open", recorded)
    load(cache)
    load(cache, blank=0.3)
    old = keys[0]
    assert {"part", "n", "seed", "framing"} <= old
    assert keys == [old, old, old | {"blank"}, old | {"blank"}]
    assert "blank" not in old
