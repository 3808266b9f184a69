"""Loss and accuracy summed up over an epoch on the device, so that no step has to wait for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from svhncli.core.labels import BLANK
from svhncli.engine.matching import demand_form
from svhncli.stats.intervals import wilson
from svhncli.stats.score import LengthScore, Score


def without_blanks(classes: Tensor) -> Tensor:
    """Classes int64 (B, L) with the digits moved to the front, in their order, and the blanks after them.

    A blank may occur at any position; it is left out, and its neighbors become adjacent. Two rows spell the
    same number if and only if their results are equal.
    """
    return classes.gather(1, (classes == BLANK).byte().argsort(dim=1, stable=True))


class Tally:
    """Sums up images, loss and correct predictions in float64: counts stay exact, long sums do not drift."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.counts = torch.zeros(1, 4, dtype=torch.float64, device=device)
        """A row for each length of the true number, 0 to L: images, correct numbers, correct lengths, and
        digits that are correct at their position."""

    @torch.no_grad()
    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            losses: float (B,), the loss of every image.
            logits: float (B, L, K).
            labels: int64 (B, L); a prediction is correct if it spells the same number (see `without_blanks`).
        """
        classes, digits = logits.argmax(-1), labels != BLANK
        lengths = digits.sum(1)
        columns = (
            torch.ones_like(lengths),
            (without_blanks(classes) == without_blanks(labels)).all(1),
            (classes != BLANK).sum(1) == lengths,
            ((classes == labels) & digits).sum(1),
        )
        rows = labels.shape[1] + 1
        if len(self.counts) != rows:  # only the first batch shows how many positions numbers have
            self.counts = self.counts.new_zeros(rows, 4)
        has_length = torch.arange(rows, device=labels.device)[:, None] == lengths
        self.loss += losses.double().sum()
        self.counts += has_length.double() @ torch.stack(columns, 1).double()

    def result(self) -> Score:
        """The score so far, as plain Python numbers."""
        counts = self.counts.tolist()
        n, whole, length, digits = self.counts.sum(0).tolist()
        score = Score(
            loss=self.loss.item() / n, accuracy=whole / n, n=int(n), interval=wilson(int(whole), int(n))
        )
        if len(counts) <= 2:
            return score
        true_digits = sum(size * row[0] for size, row in enumerate(counts))
        return replace(
            score,
            digit_accuracy=digits / max(1, true_digits),
            length_accuracy=length / n,
            by_length={
                str(size): LengthScore(int(row[0]), row[1] / row[0])
                for size, row in enumerate(counts)
                if row[0]
            },
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Copies on the CPU; a tally that loads them continues with the same bits."""
        return {"loss": self.loss.cpu().clone(), "counts": self.counts.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises: KeyError, ValueError: it is not the state of a tally."""
        own = {"loss": self.loss, "counts": self.counts.new_zeros(len(state["counts"]), 4)}
        demand_form(own, state, "tally")
        self.loss.copy_(state["loss"])
        self.counts = state["counts"].to(self.counts, copy=True)
