"""Readings of numbers and sums over an epoch, kept on the device so that no step waits for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from svhncli.core.labels import BLANK
from svhncli.stats.intervals import wilson
from svhncli.stats.score import LengthScore, Score


def reading(classes: Tensor) -> Tensor:
    """The string that classes (B, L) spell: int64 (B, L), the digits in their order, then the blanks.

    A blank may stand anywhere: left out, the digits about it are neighbours. Two numbers are the same string
    if and only if their readings are equal.
    """
    return classes.gather(1, (classes == BLANK).byte().argsort(dim=1, stable=True))


class Tally:
    """Counts pictures, loss and hits, in float64: counts stay exact and long sums do not drift."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.counts = torch.zeros(1, 4, dtype=torch.float64, device=device)
        """A row for each length of the true number, 0 to L: pictures, those that are right as strings, those
        whose length is right, digits that are right in their place."""

    @torch.no_grad()
    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in a batch.

        Args:
            losses: float (B,), the loss of every picture.
            logits: float (B, L, K).
            labels: int64 (B, L); a picture is right if what is read is the same string (see `reading`).
        """
        classes, digits = logits.argmax(-1), labels != BLANK
        lengths = digits.sum(1)
        told = (
            torch.ones_like(lengths),
            (reading(classes) == reading(labels)).all(1),
            (classes != BLANK).sum(1) == lengths,
            ((classes == labels) & digits).sum(1),
        )
        rows = labels.shape[1] + 1
        if len(self.counts) != rows:  # the first batch says how long numbers are
            self.counts = self.counts.new_zeros(rows, 4)
        belongs = torch.arange(rows, device=labels.device)[:, None] == lengths
        self.loss += losses.double().sum()
        self.counts += belongs.double() @ torch.stack(told, 1).double()

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
        """Copies on the CPU; a tally that loads them goes on with the same bits."""
        return {"loss": self.loss.cpu().clone(), "counts": self.counts.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss.copy_(state["loss"])
        self.counts = state["counts"].to(self.counts, copy=True)
