"""Means of what the steps report, between two logged figures."""

from __future__ import annotations

import torch

from clip2.objectives import Losses


class Tally:
    """Sums are kept on the device, so that no step waits for a number."""

    def __init__(self) -> None:
        self.steps = 0
        self.making = self.seconds = 0.0
        self._sums: dict[str, tuple[torch.Tensor, int]] = {}

    def add(self, losses: Losses, making: float, seconds: float) -> None:
        """One step's losses, and the seconds it spent on its data and in all."""
        self.steps += 1
        self.making += making
        self.seconds += seconds
        for name, value in (("loss", losses.total), ("text_loss", losses.text), ("image_loss", losses.image)):
            if value is not None:
                so_far, count = self._sums.get(name, (torch.zeros_like(value), 0))
                self._sums[name] = so_far + value, count + 1

    def figures(self, batch_size: int) -> dict[str, float]:
        """The means, and how fast it went."""
        means = {f"train/{name}": float(total) / count for name, (total, count) in self._sums.items()}
        return means | {
            "train/objects_per_second": batch_size * self.steps / self.seconds,
            "train/data_share": self.making / self.seconds,
        }
