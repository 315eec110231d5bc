"""Training: configuration, data in memory, the loop."""

from clip2.training.config import TrainConfig, load_config
from clip2.training.dataset import TrainingSet, load_training_set, pack
from clip2.training.loop import TrainingResult, train

__all__ = [
    "TrainConfig",
    "TrainingResult",
    "TrainingSet",
    "load_config",
    "load_training_set",
    "pack",
    "train",
]
