"""Duplicates: in one part, in several, and with different labels."""

from __future__ import annotations

import numpy as np

from svhncli.analysis.inspect.duplicates import BITS, RADIUS, near_pairs
from svhncli.analysis.inspect.inspected import LEAVE_OUT, Finding, InspectedParts, Item, Limits


class Alike:
    """Duplicates: pairs of places, the earlier one first, and how similar they are; 1 is equal."""

    def __init__(self, parts: InspectedParts, limits: Limits) -> None:
        self.parts, self.limits = parts, limits
        _, first, member = np.unique(parts.digests, return_index=True, return_inverse=True)
        twin = first[member.ravel()]
        later = np.flatnonzero(twin != np.arange(len(twin)))
        self.equal = np.stack([twin[later], later], 1)
        # Each blank image is like every other one, and the first of several equal images represents them.
        single = np.flatnonzero((twin == np.arange(len(twin))) & (parts.contrast >= limits.blank))
        pairs, self.alike = near_pairs(parts.small[single], limits.similar)
        self.nearly = single[pairs]

    def exact(self) -> Finding:
        return Finding(
            "exact_duplicates",
            "exact duplicates",
            "every byte of the pixels equals that of an earlier image, in any part",
            "look" if len(self.equal) else "good",
            LEAVE_OUT if len(self.equal) else None,
            self._items(self.equal, np.ones(len(self.equal))),
        )

    def near(self) -> Finding:
        return Finding(
            "near_duplicates",
            "near-duplicates",
            f"a {BITS}-bit DCT hash within {RADIUS} bits of that of an earlier image, and a correlation of "
            f"the pixels, without slow changes of light, of {self.limits.similar:g} or more at a shift of up "
            "to a pixel; of exact duplicates only the first is compared",
            "look" if len(self.nearly) else "good",
            "keep them on one side of the split, or " + LEAVE_OUT if len(self.nearly) else None,
            self._items(self.nearly, self.alike),
        )

    def contradictions(self) -> Finding:
        """Of each pair the image whose label agrees with fewer duplicates, so that one wrong label among many
        duplicates is one item."""
        pairs, alike = self._all()
        labels = self.parts.labels
        differ = (labels[pairs[:, 0]] != labels[pairs[:, 1]]).any(1)
        against = np.bincount(pairs.ravel(), np.where(differ, 1, -1).repeat(2), len(labels))
        exact = bool(differ[: len(self.equal)].any())
        pairs, alike = pairs[differ], alike[differ]
        alone = against[pairs[:, 0]] > against[pairs[:, 1]]
        pairs = np.where(alone[:, None], pairs[:, ::-1], pairs)
        return Finding(
            "contradictions",
            "duplicates with different labels",
            "exact or near-duplicates whose labels differ, of each pair the image whose label disagrees with "
            "more duplicates; bad where any are exact",
            ("bad" if exact else "look") if len(pairs) else "good",
            "correct one of the labels, or " + LEAVE_OUT if len(pairs) else None,
            self._items(pairs, alike),
        )

    def leakage(self) -> Finding:
        pairs, alike = self._all()
        across = self.parts.which[pairs[:, 0]] != self.parts.which[pairs[:, 1]]
        pairs, alike = pairs[across], alike[across]
        return Finding(
            "leakage",
            "leakage between parts",
            "exact or near-duplicates in two different parts (train, val, test)",
            "bad" if len(pairs) else "good",
            "scores on these images are too optimistic: " + LEAVE_OUT if len(pairs) else None,
            self._items(pairs, alike),
        )

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        """Equal pairs, then near ones."""
        alike = np.concatenate([np.ones(len(self.equal)), self.alike])
        return np.concatenate([self.equal, self.nearly]), alike

    def _items(self, pairs: np.ndarray, alike: np.ndarray) -> list[Item]:
        """The later image of every pair once, with its most similar partner, the most similar pairs first."""
        order = np.lexsort((pairs[:, 0], -alike, pairs[:, 1]))
        _, firsts = np.unique(pairs[order, 1], return_index=True)
        best = order[firsts]
        best = best[np.argsort(-alike[best], kind="stable")]
        return [
            Item(later, float(value), earlier)
            for (earlier, later), value in zip(pairs[best].tolist(), alike[best], strict=True)
        ]
