"""Means of what the steps report, between two logged figures."""

from __future__ import annotations

from typing import Any

from clip2.objectives import Losses


class Tally:
    """Means since the last logged figures, kept on the device so that no step waits for it."""

    def __init__(self) -> None:
        self.steps = self.image_steps = 0
        self.loss: Any = 0.0
        self.text: Any = 0.0
        self.image: Any = 0.0
        self.making = self.seconds = 0.0

    def add(self, losses: Losses, making: float, seconds: float) -> None:
        """One step's losses, seconds spent on its data and in all."""
        self.steps += 1
        self.loss += losses.total
        self.text += losses.text
        if losses.image is not None:
            self.image_steps += 1
            self.image += losses.image
        self.making += making
        self.seconds += seconds

    def figures(self, batch_size: int) -> dict[str, float]:
        """The means."""
        figures = {
            "train/loss": float(self.loss) / self.steps,
            "train/text_loss": float(self.text) / self.steps,
            "train/objects_per_second": batch_size * self.steps / self.seconds,
            "train/data_share": self.making / self.seconds,
        }
        if self.image_steps:
            figures["train/image_loss"] = float(self.image) / self.image_steps
        return figures
