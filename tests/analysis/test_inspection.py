"""The measures of `svhn inspect` agree with references; its findings are the planted faults alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chi2_contingency, ks_2samp

from svhncli.analysis.inspect import drift, duplicates
from svhncli.analysis.inspect.findings import look
from svhncli.analysis.inspect.inspected import InspectedParts, Limits, parts_of
from svhncli.analysis.inspect.outliers import LEAST, deviations, looks
from svhncli.data import boxes
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.split import Fold
from svhncli.stats.significance import holm

LIMITS = Limits(4.0, 0.96, 3.5)
MAT = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]


# ----------------------------------------------------------------------------- duplicates


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 9), st.integers(1, 60))
def test_the_search_for_close_hashes_equals_a_search_over_all_pairs(seed: int, radius: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 1 << duplicates.BITS, n, dtype=np.uint64)
    flips = draw.random((n, duplicates.BITS)) < draw.uniform(0, 0.3)
    queries = hashes ^ (flips @ (np.uint64(1) << np.arange(duplicates.BITS, dtype=np.uint64)))
    distances = [[(int(a) ^ int(b)).bit_count() for b in hashes] for a in queries]
    actual = duplicates.close_pairs(queries, hashes, radius)
    assert actual.tolist() == np.argwhere(np.array(distances) <= radius).tolist()


def test_pairs_across_blocks_are_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    hashes = np.array([5] * 10 + [6] * 3, np.uint64)
    assert len(duplicates.close_pairs(hashes, hashes, 0)) == 100 + 9


def test_no_images_have_no_pairs() -> None:
    pairs, alike = duplicates.near_pairs(np.empty((0, duplicates.SIDE, duplicates.SIDE), np.uint8), 0.9)
    assert (pairs.shape, alike.shape) == ((0, 2), (0,))


def test_a_radius_that_would_miss_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="10 bits"):
        duplicates.close_pairs(np.zeros(1, np.uint64), np.zeros(1, np.uint64), 10)


def test_a_hash_holds_the_signs_of_scipy_s_cosine_transform() -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    signs = scipy.fft.dctn(small.astype(float), axes=(1, 2))[:, :8, :8].reshape(6, -1)[:, 1:] > 0
    expected = (signs[:, None] != signs).sum(-1)
    actual = duplicates.hashes(small)
    assert [[(int(a) ^ int(b)).bit_count() for b in actual] for a in actual] == expected.tolist()


@pytest.mark.parametrize(("size", "side"), [((64, 128), 32), ((32, 32), 8), ((30, 45), 32), ((16, 16), 32)])
def test_area_resizing_equals_pillow_s_box_filter(size: tuple[int, int], side: int) -> None:
    plane = np.random.default_rng(1).random(size).astype(np.float32)
    actual = duplicates.resized(plane[None], side)[0]
    if size[0] >= side:
        expected = np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX))
        np.testing.assert_allclose(actual, expected, atol=0.02)
    assert actual.mean() == pytest.approx(plane.mean(), abs=1e-5)


def test_only_equal_bytes_have_equal_digests() -> None:
    images = np.random.default_rng(2).integers(0, 256, (50, 3, 4, 4), dtype=np.uint8)
    images[7] = images[3]
    images[8] = images[3]
    images[8, 0, 0, 0] ^= 1
    digests = duplicates.digests(images)
    assert digests[7] == digests[3]
    assert len(np.unique(digests)) == 49


def scenes(n: int, seed: int = 0) -> np.ndarray:
    """Images uint8 (n, 3, 32, 32) of smooth blobs, all different."""
    draw = np.random.default_rng(seed)
    coarse = draw.uniform(0, 255, (n, 3, 8, 8)).astype(np.uint8).transpose(0, 2, 3, 1)
    bicubic = Image.Resampling.BICUBIC
    drawn = [np.asarray(Image.fromarray(blobs).resize((32, 32), bicubic)) for blobs in coarse]
    return np.stack(drawn).transpose(0, 3, 1, 2)


def near_copy(image: np.ndarray) -> np.ndarray:
    """The image (3, 32, 32) shifted by a pixel, darker and encoded as JPEG."""
    file = io.BytesIO()
    moved = np.pad(image, ((0, 0), (0, 0), (1, 0)), mode="edge")[:, :, :32] * 0.9
    Image.fromarray(moved.astype(np.uint8).transpose(1, 2, 0)).save(file, "jpeg", quality=85)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def grey(images: np.ndarray) -> np.ndarray:
    return images.mean(1, dtype=np.float32)


def test_only_a_shifted_darkened_and_reencoded_image_is_a_near_duplicate() -> None:
    images = scenes(60)
    copies = np.stack([near_copy(image) for image in images[:20]])
    pairs, similarities = duplicates.near_pairs(
        duplicates.thumbnails(grey(np.concatenate([images, copies]))), 0.96
    )
    assert pairs.tolist() == [[i, 60 + i] for i in range(20)]
    assert (similarities >= 0.96).all()


def test_smooth_images_correlate_but_are_not_duplicates() -> None:
    draw = np.random.default_rng(3)
    slope = np.linspace(80, 160, 32)[:, None] + np.linspace(0, 20, 32)
    noisy = slope + draw.normal(0, 2, (40, 32, 32))
    small = noisy.astype(np.uint8)
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.96  # duplicates by plain correlation
    assert duplicates.similarity(small[:20], small[20:]).max() < 0.5
    assert not len(duplicates.near_pairs(small, 0.96)[0])


# ----------------------------------------------------------------------------- drift, outliers, boxes


def test_where_most_images_are_identical_the_others_are_not_outliers() -> None:
    features = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    alone = deviations(features[120:])
    features[:120] = features[120]
    np.testing.assert_allclose(deviations(features)[120:], alone)


counts = st.lists(st.integers(30, 500), min_size=3, max_size=10)


@given(counts, st.integers(0, 2**31))
def test_the_test_of_labels_equals_scipy_s(counts: list[int], seed: int) -> None:
    other_counts = np.random.default_rng(seed).integers(20, 90, len(counts))
    # neither part has images of the last class
    actual = drift.of_counts(np.array([*counts, 0]), np.array([*other_counts, 0]))
    expected = chi2_contingency([counts, other_counts], correction=False)
    assert actual is not None
    assert actual.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert actual.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert actual.df == len(counts) - 1
    assert actual.effect == pytest.approx(np.sqrt(expected.statistic / (sum(counts) + other_counts.sum())))


def test_rare_classes_are_pooled() -> None:
    actual = drift.of_counts(np.array([90, 80, 2, 3]), np.array([100, 70, 1, 4]))
    expected = chi2_contingency([[90, 80, 5], [100, 70, 5]], correction=False)
    assert actual is not None
    assert (actual.statistic, actual.df) == (pytest.approx(expected.statistic), 2)
    assert drift.of_counts(np.array([9, 0]), np.array([7, 0])) is None


def test_the_test_of_brightness_equals_scipy_s() -> None:
    draw = np.random.default_rng(4)
    first, second = draw.normal(0, 1, 300), draw.normal(0.2, 1, 200)
    actual, expected = drift.of_values(first, second), ks_2samp(first, second, method="asymp")
    assert actual is not None
    assert (actual.effect, actual.p) == (expected.statistic, expected.pvalue)
    assert drift.of_values(first, second[:19]) is None


def test_holm_s_correction_equals_values_worked_out_by_hand() -> None:
    corrected = holm([0.01, 0.9, 0.021, 0.02])
    assert corrected == pytest.approx([0.04, 0.9, 0.06, 0.06])
    assert len(holm([])) == 0


def test_a_difference_is_bad_if_it_is_neither_chance_nor_small() -> None:
    draw = np.random.default_rng(5)
    small = drift.of_values(draw.normal(0, 1, 90_000), draw.normal(0.05, 1, 90_000))
    assert small is not None
    assert small.p < 1e-9
    assert drift.level(small, small.p) == "good"  # with 90,000 images everything is significant
    large = drift.of_values(draw.normal(0, 1, 900), draw.normal(1, 1, 900))
    assert large is not None
    assert drift.level(large, large.p) == "bad"
    assert drift.level(large, 0.02) == "good"


def test_images_unlike_the_others_are_outliers_and_few_others_are() -> None:
    draw = np.random.default_rng(6)
    images = draw.normal(120, 10, (400, 3, 32, 32)).clip(0, 255)
    images += draw.normal(0, 25, (400, 3, 1, 1))
    images = images.clip(0, 255).astype(np.uint8)
    odd = [3, 77, 200]
    images[odd, :, :16] = 255
    images[odd, :, 16:] = 0
    far = deviations(looks(images))
    assert np.argsort(-far)[:3].tolist() in ([a, b, c] for a in odd for b in odd for c in odd)
    assert (far[odd] > 10).all()
    assert (far > 3.5).sum() <= 5
    assert not deviations(looks(images[: LEAST - 1])).any()
    assert np.isfinite(deviations(np.ones((LEAST, 12), np.float32))).all()


def test_empty_boxes_and_boxes_outside_the_image_are_measured() -> None:
    nan = np.nan
    corners = np.array(
        [
            [[1, 2, 5, 9], [nan] * 4],
            [[1, 2, 1, 9], [3, 3, 9, 9]],
            [[-4, 2, 5, 9], [nan] * 4],
            [[1, 2, 5, 23], [0, 0, 12, 9]],
            [[nan] * 4, [nan] * 4],
        ]
    )
    assert boxes.empty(corners).tolist() == [4, 0, 7, 4, np.inf]
    assert boxes.outside(corners, np.tile([10, 20], (5, 1))).tolist() == [0, 0, 4, 3, 0]


# ----------------------------------------------------------------------------- findings


def data(images: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> DataSet:
    """The first half is the training part, the second half the test part."""
    half = len(images) // 2
    ids = np.arange(len(images)) if groups is None else groups

    def part(name: str, rows: slice) -> Digits:
        selected = images[rows]
        return Digits(selected, labels[rows, None], ids[rows], [f"{name}/{i}" for i in range(len(selected))])

    return DataSet("some", part("train", slice(half)), "f", part("test", slice(half, None)))


def findings_of(dataset: DataSet, fold: Fold) -> dict[str, Any]:
    parts = InspectedParts(parts_of(dataset, fold))
    findings, _ = look(dataset, fold, parts, LIMITS)
    return {finding.name: finding for finding in findings}


FOLD = Fold("holdout", np.arange(40), np.arange(40, 50))
LABELS = np.arange(100) % 10


def test_images_without_faults_are_good() -> None:
    findings = findings_of(data(scenes(100), LABELS), FOLD)
    assert {name: finding.level for name, finding in findings.items() if finding.level != "good"} == {}
    assert not any(finding.fix for finding in findings.values())


def test_a_wrong_label_among_many_duplicates_is_a_single_contradiction() -> None:
    images, labels = scenes(100), LABELS.copy()
    for index in (12, 22, 55, 75):
        images[index] = images[2]
        labels[index] = labels[2]
    labels[12] = 9
    findings = findings_of(data(images, labels), FOLD)
    assert [item.place for item in findings["contradictions"].items] == [12]
    assert findings["contradictions"].level == "bad"
    labels[12], labels[2] = 2, 9  # also where the first of the duplicates has the wrong label
    assert [item.place for item in findings_of(data(images, labels), FOLD)["contradictions"].items] == [2]


def test_leakage_names_the_image_in_the_later_part_and_its_partner() -> None:
    images = scenes(100)
    images[45], images[60], images[71], images[20] = images[3], near_copy(images[4]), images[46], images[21]
    findings = findings_of(data(images, LABELS), FOLD)
    assert {(item.place, item.partner) for item in findings["leakage"].items} == {(45, 3), (60, 4), (71, 46)}
    assert {item.place for item in findings["exact_duplicates"].items} == {21, 45, 71}
    assert {item.place for item in findings["near_duplicates"].items} == {60}


def test_a_house_number_on_both_sides_of_a_fold_is_bad_and_ids_of_other_parts_are_not_compared() -> None:
    groups = np.arange(100) // 2
    groups[50:] -= 25  # the ids of the test part start at 0 again
    assert findings_of(data(scenes(100), LABELS, groups), FOLD)["torn_numbers"].items == []
    torn = Fold("holdout", np.delete(np.arange(50), [7, 8]), np.array([7, 8]))
    finding = findings_of(data(scenes(100), LABELS, groups), torn)["torn_numbers"]
    assert (finding.level, len(finding.items)) == ("bad", 2)


def test_parts_that_differ_in_brightness_and_labels_have_drifted() -> None:
    images, labels = scenes(400), np.arange(400) % 10
    images[200:] //= 3
    labels[200:] //= 2
    dataset = data(images, labels)
    fold = Fold("holdout", np.arange(150), np.arange(150, 200))
    _, tests = look(dataset, fold, InspectedParts(parts_of(dataset, fold)), LIMITS)
    level = {(test.what, test.parts[1]): test.level for test in tests}
    assert {key for key, value in level.items() if value == "bad"} == {
        ("labels", "test"),
        ("brightness", "test"),
        ("contrast", "test"),
    }
    assert len(level) == 6
