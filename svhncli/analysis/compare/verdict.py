"""What the tests of two sides say, and in one sentence what follows.

Two kinds of chance stand between a difference and its being real. Other pictures would have been read
otherwise: McNemar's test and the bootstrap over pictures answer that, for these very networks. And the same
config, trained anew, would have made other networks: folds and seeds answer that, for these very pictures
(folds partly for others, too). Who says that a config is better means both, so both must be beaten. A test
that rejects only if each of two tests does keeps the level of each, without a correction (intersection-union,
Berger 1982): its p is the larger of the two. It is this p that decides, and that is corrected where there are
several comparisons (Holm); the p in the sentence is that of the pictures, with the other one beside it. Where
each side trained once, the second kind of chance cannot be seen; then the verdict is one on two networks,
not on two configs, and a note says so. Of one config with itself nothing is ever called better.

The p of the pictures is McNemar's exact one where pictures are independent and each side read each once.
Where pictures share house numbers they are not independent, and where a picture was read several times its
score is a share; then it is that of the bootstrap, in which whole house numbers are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from statistics import NormalDist, stdev
from typing import Any

from svhncli.analysis.compare import changes
from svhncli.analysis.compare.pairing import Pair, Trainings, trainings
from svhncli.core.errors import UsageError
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
"""House numbers below which the bootstrap's interval is too short to be believed."""


@dataclass(frozen=True)
class Tests:
    """What was measured of a pair, before other comparisons are thought of.

    counts: None where a picture was read several times. repeated: None where no folds or seeds pair.
    """

    pair: Pair
    pictures: Difference
    counts: McNemar | None
    trainings: Trainings | None
    repeated: Difference | None

    @property
    def is_exact(self) -> bool:
        """Whether pictures are independent and read once, so that McNemar's test holds."""
        return self.counts is not None and self.pair.houses == len(self.pair.index)

    @property
    def p(self) -> float:
        """Of the pictures."""
        return self.counts.p if self.is_exact and self.counts is not None else self.pictures.p

    @property
    def p_both(self) -> float:
        """Of the pictures and the trainings."""
        return self.p if self.repeated is None else max(self.p, self.repeated.p)


def measure(pair: Pair, level: float) -> Tests:
    """Test a pair.

    Raises:
        UsageError: the pictures in common are of one house number, which is no sample.
    """
    if pair.houses < 2:
        raise UsageError(
            f"'{pair.a.path}' and '{pair.b.path}' have {len(pair.index)} picture(s) of one house number in "
            "common, which is no sample",
            "compare runs that validated on the same pictures",
        )
    pictures = paired_bootstrap(pair.differences, pair.groups, seed=0, level=level)
    counts = mcnemar(pair.a_scores == 1, pair.b_scores == 1) if pair.is_read_once else None
    both = trainings(pair)
    if both is None:
        return Tests(pair, pictures, counts, None, None)
    if both.over == "folds":
        repeated = corrected_t(both.differences, both.n_train, both.n_val, level)
    else:
        repeated = paired_t(both.differences, level)
    return Tests(pair, pictures, counts, both, repeated)


def judge(tests: Sequence[Tests], names: Sequence[tuple[str, str]], level: float) -> list[dict[str, Any]]:
    """What follows from comparisons that are made together.

    names: A's and B's of each.

    Returns:
        Of each {"a", "b" (names), "pictures", "house_numbers", "left_out" (pictures that A alone and B alone
        read), "accuracy_a", "accuracy_b", "difference", "interval", "only_a", "only_b" (pictures that one
        alone reads rightly; None where some were read several times), "test", "p" (of the pictures), "p_both"
        (Holm's, of the larger p of pictures and trainings), "p_holm" (Holm's, of the pictures' p of this
        comparison beside the larger p of the others), "trainings" ({"over", "n", "differences", "difference",
        "sd", "interval", "p"} or None), "outcome" (better, worse, unsure or none), "needed" (more pictures,
        or None), "verdict", "notes"}.
        Shares of 1, B minus A.
    """
    each = [one.p_both for one in tests]
    p_holm = [holm([*each[:i], one.p, *each[i + 1 :]])[i] for i, one in enumerate(tests)]
    return [
        _judged(one, a, b, level, of_pictures, of_both, len(tests))
        for one, (a, b), of_pictures, of_both in zip(tests, names, p_holm, holm(each), strict=True)
    ]


def _judged(
    tests: Tests, a: str, b: str, level: float, p_holm: float, p_both: float, of: int
) -> dict[str, Any]:
    pair, alpha, mean = tests.pair, 1 - level, tests.pictures.mean
    is_chance = changes.is_chance(pair.a, pair.b)
    outcome = "none"
    if p_holm < alpha:
        is_sure = p_both < alpha and not is_chance
        outcome = ("better" if mean > 0 else "worse") if is_sure else "unsure"
    more = None if p_holm < alpha else _more(tests, 1 - alpha / of)
    found = {
        "a": a,
        "b": b,
        "pictures": len(pair.index),
        "house_numbers": pair.houses,
        "left_out": list(pair.left_out),
        "accuracy_a": float(pair.a_scores.mean()),
        "accuracy_b": float(pair.b_scores.mean()),
        "difference": mean,
        "interval": asdict(tests.pictures.interval),
        "only_a": None if tests.counts is None else tests.counts.only_a,
        "only_b": None if tests.counts is None else tests.counts.only_b,
        "test": _test(tests),
        "p": tests.p,
        "p_holm": p_holm,
        "p_both": p_both,
        "trainings": _told(tests.trainings, tests.repeated),
        "outcome": outcome,
        "needed": more,
    }
    return found | {"verdict": _sentence(found, pair.a.part, of, is_chance), "notes": _notes(tests, a, b)}


def _test(tests: Tests) -> str:
    """The test that the pictures' p is of."""
    if tests.is_exact:
        return "McNemar, exact"
    shared = tests.pair.houses < len(tests.pair.index)
    return f"bootstrap over {'house numbers' if shared else 'pictures'}"


def _told(found: Trainings | None, repeated: Difference | None) -> dict[str, Any] | None:
    if found is None or repeated is None:
        return None
    return {
        "over": found.over,
        "n": len(found.differences),
        "differences": found.differences,
        "difference": repeated.mean,
        "sd": stdev(found.differences),
        "interval": asdict(repeated.interval),
        "p": repeated.p,
    }


def _more(tests: Tests, level: float) -> int | None:
    """About how many more pictures would show a difference as large as that which was measured.

    Two readings of a picture, one of each side, are discordant with the chance v. `images_needed` holds for
    independent pictures that are read once; where house numbers are shared or readings averaged, it is
    multiplied by how many times the measured variance of the mean is that of such pictures (design effect,
    Kish 1965).
    """
    pair, mean = tests.pair, tests.pictures.mean
    v = float((pair.a_scores * (1 - pair.b_scores) + pair.b_scores * (1 - pair.a_scores)).mean())
    needed = images_needed(mean, max(v, abs(mean)), level)
    if needed is None:
        return None
    effect = 1.0
    if not tests.is_exact and v > mean**2:
        interval = tests.pictures.interval
        error = (interval.high - interval.low) / (2 * NormalDist().inv_cdf(tail(interval.level)))
        effect = len(pair.index) * error**2 / (v - mean**2)
    return max(1, ceil(needed * effect) - len(pair.index))


# ----------------------------------------------------------------------------- words


def points(value: float, digits: int = 1, sign: bool = False) -> str:
    """A share of 1 as percentage points; never -0.0."""
    rounded = round(100 * value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if sign else f"{rounded:.{digits}f}"


def chance(p: float) -> str:
    """`p = 0.004`; what is too small for the test to tell is `p < 0.0001`."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def digits_of(interval: dict[str, Any]) -> int:
    """Digits behind the point that an interval in percentage points needs, so that an end which is not 0 is
    not written as 0."""
    ends = interval["low"], interval["high"]
    return 1 if ends[1] - ends[0] >= 0.002 and all(abs(end) >= 0.0005 for end in ends) else 2


def _sentence(found: dict[str, Any], part: str, of: int, is_chance: bool) -> str:
    """The verdict; `of` is the number of comparisons, `is_chance` whether both have one config."""
    outcome, low, high = found["outcome"], found["interval"]["low"], found["interval"]["high"]
    mean, digits, level = found["difference"], digits_of(found["interval"]), found["interval"]["level"]
    if mean < 0 and found["p_holm"] < 1 - level:
        mean, low, high = -mean, -high, -low
    p = chance(found["p"]) + (f", {found['p_holm']:.2g} by Holm over {of}" if of > 1 else "")
    span = f"{100 * level:g}% {points(low, digits)} to {points(high, digits)}, {p}"
    again = _again(found["trainings"], digits)
    if outcome in ("better", "worse"):
        text = f"{found['b']} is {outcome} by {points(mean, digits)} points, {span}"
        return text + (f"; {again}" if again else "")
    if outcome == "unsure":
        word = "better" if found["difference"] > 0 else "worse"
        return (
            f"these networks of {found['b']} are {word} by {points(mean, digits)} points, {span}, but "
            f"trained anew they may not be: {'both have the same config' if is_chance else again}"
        )
    text = f"no difference that these data can show ({points(mean, digits)} points, {span})"
    if found["needed"] is not None:
        kind = "test" if part == "test" else "validation"
        text += f"; it would take about {_round(found['needed']):,} more {kind} samples"
    return text + (f"; {again}" if again else "")


def _again(found: dict[str, Any] | None, digits: int) -> str:
    """What folds or seeds say: `the +0.2 is within the seed spread (sd 0.3 over 5 seeds, p = 0.3)`."""
    if found is None:
        return ""
    mean, spread = points(found["difference"], digits, sign=True), points(found["sd"], digits)
    where = "within" if found["p"] >= 1 - found["interval"]["level"] else "beyond"
    told = f"sd {spread} over {found['n']} {found['over']}, {chance(found['p'])}"
    return f"the {mean} is {where} the {found['over'][:-1]} spread ({told})"


def _round(count: int) -> int:
    """To two digits."""
    scale = 10 ** max(0, len(str(count)) - 2)
    return -(-count // scale) * scale


def _notes(tests: Tests, a: str, b: str) -> list[str]:
    """What limits the verdict."""
    notes, pair = [], tests.pair
    for name, left in zip((a, b), pair.left_out, strict=True):
        if left:
            notes.append(
                f"{left:,} pictures that {name} alone read are left out; {len(pair.index):,} are common"
            )
    if pair.houses < FEW and not tests.is_exact:
        notes.append(f"{pair.houses} house numbers are few: the interval is too short and p too small")
    persons = [not one.config for one in (pair.a, pair.b)]
    if tests.repeated is None and not any(persons):
        notes.append(
            "the chance of training is not in this: it is a verdict on these networks, not on their configs; "
            "train both with repeats=5 to see it"
        )
    return notes
