"""The tests of two sides, and the conclusion in one sentence.

Two kinds of chance can produce a difference that is not real. Other images might have given another result:
McNemar's test and the bootstrap over images answer that, for these very networks. And the same config,
trained again, would have given other networks: folds and seeds answer that, for these very images (folds
partly for others, too). To say that a config is better is to claim both, so both tests must reject. A test
that rejects only if each of two tests does keeps the level of each, without a correction
(intersection-union, Berger 1982): its p is the larger of the two. This p decides, and is corrected where
there are several comparisons (Holm); the p in the sentence is that of the images, with the other one next to
it. Where each side trained once, the second kind of chance cannot be measured; then the verdict is on two
networks, not on two configs, and a note says so. A config compared with itself is never called better.

The p of the images is McNemar's exact one where images are independent and each side predicted each once.
Where images share groups they are not independent, and where an image was predicted several times its
score is a share; then it is that of the bootstrap, in which whole groups are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import NormalDist, stdev

from svhncli.analysis.compare import changes
from svhncli.analysis.compare.pairing import Pair, Trainings, trainings
from svhncli.core.errors import UsageError
from svhncli.report.comparison import Comparison, RepeatedDifference
from svhncli.stats.intervals import tail
from svhncli.stats.significance import (
    Difference,
    McNemar,
    corrected_t,
    holm,
    images_needed,
    mcnemar,
    paired_bootstrap,
    paired_t,
)

FEW = 30
"""Groups below which the bootstrap's interval is too short to be trusted."""
LEAST_DISCORDANT = 10
"""Of fewer images on which the two differ, the size of the difference is too uncertain to plan with."""
MOST_NEEDED = 10_000_000
"""More images than these are no advice: a difference of nothing would take any number."""


@dataclass(frozen=True)
class Tests:
    """What was measured of a pair, before any correction for other comparisons.

    counts: None where an image was predicted several times. repeated: None where no folds or seeds pair.
    """

    pair: Pair
    over_images: Difference
    counts: McNemar | None
    trainings: Trainings | None
    repeated: Difference | None

    @property
    def is_exact(self) -> bool:
        """Whether images are independent and predicted once, so that McNemar's test is valid."""
        return self.counts is not None and self.pair.group_count == len(self.pair.index)

    @property
    def p(self) -> float:
        """Of the images."""
        return self.counts.p if self.is_exact and self.counts is not None else self.over_images.p

    @property
    def p_both(self) -> float:
        """Of the images and the trainings."""
        return self.p if self.repeated is None else max(self.p, self.repeated.p)


def measure(pair: Pair, level: float) -> Tests:
    """Test a pair.

    Raises:
        UsageError: the images in common are of one group, which is not a sample.
    """
    if pair.group_count < 2:
        raise UsageError(
            f"'{pair.a.path}' and '{pair.b.path}' have {len(pair.index)} image(s) of one group in "
            "common, which is not a sample",
            "compare runs that validated on the same images",
        )
    over_images = paired_bootstrap(pair.differences, pair.groups, seed=0, level=level)
    counts = mcnemar(pair.a_scores == 1, pair.b_scores == 1) if pair.is_predicted_once else None
    both = trainings(pair)
    if both is None:
        return Tests(pair, over_images, counts, None, None)
    if both.over == "folds":
        repeated = corrected_t(both.differences, both.n_train, both.n_val, level)
    else:
        repeated = paired_t(both.differences, level)
    return Tests(pair, over_images, counts, both, repeated)


def judge(tests: Sequence[Tests], names: Sequence[tuple[str, str]], level: float) -> list[Comparison]:
    """The verdicts of comparisons that are made together.

    names: A's and B's of each.
    """
    p_both = [test.p_both for test in tests]
    p_holm = [holm([*p_both[:i], test.p, *p_both[i + 1 :]])[i] for i, test in enumerate(tests)]
    return [
        _judged(test, a, b, level, of_images, of_both, len(tests))
        for test, (a, b), of_images, of_both in zip(tests, names, p_holm, holm(p_both), strict=True)
    ]


def _judged(tests: Tests, a: str, b: str, level: float, p_holm: float, p_both: float, of: int) -> Comparison:
    pair, alpha, mean = tests.pair, 1 - level, tests.over_images.mean
    is_chance = changes.is_chance(pair.a, pair.b)
    outcome = "none"
    if p_holm < alpha:
        is_sure = p_both < alpha and not is_chance
        outcome = ("better" if mean > 0 else "worse") if is_sure else "unsure"
    comparison = Comparison(
        a=a,
        b=b,
        pictures=len(pair.index),
        groups=pair.group_count,
        left_out=list(pair.left_out),
        accuracy_a=float(pair.a_scores.mean()),
        accuracy_b=float(pair.b_scores.mean()),
        difference=mean,
        interval=tests.over_images.interval,
        only_a=None if tests.counts is None else tests.counts.only_a,
        only_b=None if tests.counts is None else tests.counts.only_b,
        test=_test(tests),
        p=tests.p,
        p_holm=p_holm,
        p_both=p_both,
        trainings=_repeated(tests.trainings, tests.repeated),
        outcome=outcome,
        needed=None if p_holm < alpha else _more(tests, 1 - alpha / of),
        verdict="",
        notes=_notes(tests, a, b),
        changes=changes.changed(pair.a, pair.b),
        warning=changes.warning(pair.a, pair.b),
    )
    return replace(comparison, verdict=_sentence(comparison, pair.a.part, of, is_chance))


def _test(tests: Tests) -> str:
    """The test that gives the images' p."""
    if tests.is_exact:
        return "McNemar, exact"
    shared = tests.pair.group_count < len(tests.pair.index)
    return f"bootstrap over {'groups of images' if shared else 'images'}"


def _repeated(both: Trainings | None, difference: Difference | None) -> RepeatedDifference | None:
    if both is None or difference is None:
        return None
    return RepeatedDifference(
        both.over,
        len(both.differences),
        both.differences,
        difference.mean,
        stdev(both.differences),
        difference.interval,
        difference.p,
    )


def _more(tests: Tests, level: float) -> int | None:
    """About how many more images would show a difference as large as the one that was measured.

    Two predictions for an image, one of each side, are discordant with probability v. `images_needed` holds
    for independent images that are predicted once; where groups are shared or predictions averaged, it
    is multiplied by the ratio of the measured variance of the mean to that of such images (design effect,
    Kish 1965).
    """
    pair, mean = tests.pair, tests.over_images.mean
    a, b = pair.a_scores, pair.b_scores
    if abs(a - b).sum() < LEAST_DISCORDANT:
        return None
    v = float((a * (1 - b) + b * (1 - a)).mean())
    needed = images_needed(mean, max(v, abs(mean)), level)
    if needed is None:
        return None
    effect = 1.0
    if not tests.is_exact and v > mean**2:
        interval = tests.over_images.interval
        error = (interval.high - interval.low) / (2 * NormalDist().inv_cdf(tail(interval.level)))
        effect = len(pair.index) * error**2 / (v - mean**2)
    more = max(1, ceil(needed * effect) - len(pair.index))
    return more if more <= MOST_NEEDED else None


# ----------------------------------------------------------------------------- words


def points(value: float, digits: int = 1, sign: bool = False) -> str:
    """A share of 1 as percentage points; never -0.0."""
    rounded = round(100 * value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if sign else f"{rounded:.{digits}f}"


def chance(p: float) -> str:
    """`p = 0.004`; a p that is too small to be computed reliably is `p < 0.0001`."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def digits_of(low: float, high: float) -> int:
    """Decimals that an interval in percentage points needs, so that an end which is not 0 is not written as
    0."""
    return 1 if high - low >= 0.002 and all(abs(end) >= 0.0005 for end in (low, high)) else 2


def _sentence(comparison: Comparison, part: str, of: int, is_chance: bool) -> str:
    """The verdict; `of` is the number of comparisons, `is_chance` whether both have one config."""
    outcome, b, interval = comparison.outcome, comparison.b, comparison.interval
    low, high, level, mean = interval.low, interval.high, interval.level, comparison.difference
    digits = digits_of(low, high)
    if mean < 0 and comparison.p_holm < 1 - level:
        mean, low, high = -mean, -high, -low
    p = chance(comparison.p) + (f", {comparison.p_holm:.2g} by Holm over {of}" if of > 1 else "")
    span = f"{100 * level:g}% {points(low, digits)} to {points(high, digits)}, {p}"
    again = _again(comparison.trainings, digits)
    if outcome in ("better", "worse"):
        text = f"{b} is {outcome} by {points(mean, digits)} points, {span}"
        return text + (f"; {again}" if again else "")
    if outcome == "unsure":
        word = "better" if comparison.difference > 0 else "worse"
        return (
            f"these networks of {b} are {word} by {points(mean, digits)} points, {span}, but this may not "
            f"hold for another seed: {'both have the same config' if is_chance else again}"
        )
    text = f"no significant difference ({points(mean, digits)} points, {span})"
    if comparison.needed is not None:
        kind = "test" if part == "test" else "validation"
        text += f"; it would take about {_round(comparison.needed):,} more {kind} images"
    return text + (f"; {again}" if again else "")


def _again(repeated: RepeatedDifference | None, digits: int) -> str:
    """How folds or seeds compare: `the +0.2 is within the seed spread (sd 0.3 over 5 seeds, p = 0.3)`."""
    if repeated is None:
        return ""
    mean, spread = points(repeated.difference, digits, sign=True), points(repeated.sd, digits)
    where = "within" if repeated.p >= 1 - repeated.interval.level else "beyond"
    details = f"sd {spread} over {repeated.n} {repeated.over}, {chance(repeated.p)}"
    return f"the {mean} is {where} the {repeated.over[:-1]} spread ({details})"


def _round(count: int) -> int:
    """To two digits."""
    scale = 10 ** max(0, len(str(count)) - 2)
    return -(-count // scale) * scale


def _notes(tests: Tests, a: str, b: str) -> list[str]:
    """What limits the verdict."""
    notes, pair = [], tests.pair
    for name, left in zip((a, b), pair.left_out, strict=True):
        if left:
            notes.append(f"{left:,} images that only {name} predicted are left out")
    if any(pair.left_out):
        both = f"{a} {pair.a_scores.mean():.2%}, {b} {pair.b_scores.mean():.2%}"
        notes.append(f"accuracy on the {len(pair.index):,} images that both predicted: {both}")
    if pair.group_count < FEW and not tests.is_exact:
        notes.append(f"with only {pair.group_count} groups, the interval is too short and p too small")
    persons = [not side.config for side in (pair.a, pair.b)]
    if tests.repeated is None and not any(persons):
        notes.append(
            "the randomness of training was not measured: this is a verdict on these networks, not on their "
            "configs; train both with repeats=5 to measure it"
        )
    return notes
