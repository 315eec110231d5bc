"""Training: configuration, data in memory, the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clip2.training.config import TrainConfig, load_config
from clip2.training.dataset import TrainingSet, pack
from clip2.training.folders import load_training_set

if TYPE_CHECKING:
    from clip2.training.loop import TrainingResult as TrainingResult
    from clip2.training.loop import train as train

__all__ = [
    "TrainConfig",
    "TrainingResult",
    "TrainingSet",
    "load_config",
    "load_training_set",
    "pack",
    "train",
]


def __getattr__(name: str) -> Any:
    # Lightning Fabric takes seconds to import; a typing error in a configuration should be said before that.
    if name in ("train", "TrainingResult"):
        from clip2.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module 'clip2.training' has no attribute {name!r}")
