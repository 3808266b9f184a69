"""The space that `svhn tune` searches: a dimension for each key, and which of them a trial has.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from svhncli.config.words import word
from svhncli.core.errors import UsageError

Value = bool | int | float | str

DIGITS = 4
"""Significant digits of a number that is drawn: more would say nothing, and nobody could type them again."""
POINTS = 4
"""Values of a range that has no step on a grid."""


@dataclass(frozen=True)
class Dimension:
    """The values that a key may have in a trial: a list of them, or a range from `low` to `high`.

    step: between two values of a range; None where all are allowed. log: whether a range is uniform in the
    logarithm. whole: whether it is of integers. owners: the choices of the key's group that have the key;
    empty where all have. text: as it was typed.
    """

    key: str
    text: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False
    owners: frozenset[str] = frozenset()

    @property
    def group(self) -> str:
        """The config group whose choice decides whether a trial has this key; empty for a key at the root."""
        return self.key.partition(".")[0] if "." in self.key else ""

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that are valid if all are: the list, or both ends."""
        return self.values or (self.number(self.low), self.number(self.high))

    @property
    def grid(self) -> tuple[Value, ...]:
        """The values of a grid: the list, or those of a range that has a step or few integers.

        Raises:
            UsageError: a range of infinitely many values.
        """
        if self.values:
            return self.values
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            raise UsageError(
                f"{self.key}={self.text} has no step, which sampler=grid needs",
                f"list its values, such as {self.key}={self._listed()}",
            )
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.number(self.low + i * step) for i in range(count))

    def number(self, value: float) -> Value:
        """A number of the range as it is written in a config: an integer, or of few digits."""
        if self.whole:
            return round(value)
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def _listed(self) -> str:
        between = [i / (POINTS - 1) for i in range(POINTS)]
        if self.log:
            numbers = [self.low * (self.high / self.low) ** share for share in between]
        else:
            numbers = [self.low + share * (self.high - self.low) for share in between]
        return ",".join(f"{self.number(value):.2g}" for value in numbers)


@dataclass(frozen=True)
class Space:
    """All dimensions, those that choose a part of the config first, since others depend on them.

    chosen: config group -> the choice of the config that the trials vary.
    """

    dimensions: tuple[Dimension, ...]
    chosen: Mapping[str, str]

    @classmethod
    def of(cls, dimensions: Iterable[Dimension], chosen: Mapping[str, str]) -> Space:
        """Raises: UsageError: a key that no trial would have."""
        ordered = tuple(sorted(dimensions, key=lambda dimension: dimension.key not in chosen))
        choices = {d.key: {*map(str, d.values)} for d in ordered if d.key in chosen}
        for dimension in ordered:
            group, owners = dimension.group, dimension.owners
            if owners and not owners & choices.get(group, {chosen.get(group, "")}):
                raise UsageError(
                    f"{dimension.key}: a key of {group}={'|'.join(sorted(owners))}, and no trial has it",
                    f"search the group, too: {group}={','.join([chosen[group], sorted(owners)[0]])}",
                )
        return cls(ordered, chosen)

    def draw(self, suggest: Callable[[Dimension], Value]) -> dict[str, Value]:
        """A trial: `suggest` gives the value of every dimension that the trial has, by its other values."""
        drawn: dict[str, Value] = {}
        for dimension in self.dimensions:
            if self._has(drawn, dimension):
                drawn[dimension.key] = suggest(dimension)
        return drawn

    def _has(self, drawn: Mapping[str, Value], dimension: Dimension) -> bool:
        if not dimension.owners:
            return True
        return str(drawn.get(dimension.group, self.chosen.get(dimension.group))) in dimension.owners

    def grid(self) -> list[dict[str, Value]]:
        """Every combination.

        Raises:
            UsageError: a range has infinitely many values.
        """
        made: list[dict[str, Value]] = [{}]
        for dimension in self.dimensions:
            grid = dimension.grid
            made = [
                {**point, **({dimension.key: value} if value is not None else {})}
                for point in made
                for value in (grid if self._has(point, dimension) else (None,))
            ]
        return made

    def probes(self) -> Iterator[dict[str, Value]]:
        """Few trials in which every value of every list and both ends of every range occur."""
        parts = [d for d in self.dimensions if d.key in self.chosen]
        others = [d for d in self.dimensions if d.key not in self.chosen]
        rounds = max((len(d.ends) for d in others), default=1)
        starts: list[dict[str, Value]] = [{d.key: value} for d in parts for value in d.ends] or [{}]
        for start in starts:
            for turn in range(rounds):

                def end(dimension: Dimension, start: Mapping[str, Value] = start, turn: int = turn) -> Value:
                    place = 0 if dimension in parts else turn % len(dimension.ends)
                    return start.get(dimension.key, dimension.ends[place])

                yield self.draw(end)


def words(drawn: Mapping[str, Value]) -> list[str]:
    """A trial's values as overrides, as they are typed."""
    return [word(key, value) for key, value in drawn.items()]
