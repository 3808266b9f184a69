"""Sums over an epoch, kept on the device so that no step waits for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Tally:
    """Counts pictures, loss and hits, in float64: counts stay exact and long sums do not drift."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)  # n, loss, whole labels, positions
        self.positions = 1

    @torch.no_grad()
    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in a batch.

        Args:
            losses: float (B,), the loss of every picture.
            logits: float (B, L, K).
            labels: int64 (B, L); a picture is right if all its L positions are.
        """
        right = logits.argmax(-1) == labels
        self.positions = labels.shape[1]
        self.sums[0] += len(labels)
        self.sums[1:] += torch.stack((losses.double().sum(), right.all(1).sum(), right.sum()))

    def result(self) -> dict[str, float | int]:
        """`loss` (mean a picture), `accuracy` (share of pictures that are right as a whole) and `n`."""
        n, loss, whole, _ = self.sums.tolist()
        return {"loss": loss / n, "accuracy": whole / n, "n": int(n)}

    def digit_accuracy(self) -> float:
        """The share of positions that are right, blanks included; `accuracy` where there is one position."""
        n, _, _, digits = self.sums.tolist()
        return digits / (n * self.positions)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Copies on the CPU; a tally that loads them goes on with the same bits."""
        return {"sums": self.sums.detach().cpu().clone(), "positions": self.positions}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums.copy_(state["sums"])
        self.positions = int(state["positions"])
