"""Training of point encoders against cached CLIP features: configuration, data, loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.training.config import TrainConfig as TrainConfig
    from clip2.training.config import load_config as load_config
    from clip2.training.dataset import TrainingSet as TrainingSet
    from clip2.training.fit_ood import fit_ood_detector as fit_ood_detector
    from clip2.training.loop import TrainingResult as TrainingResult
    from clip2.training.loop import train as train
    from clip2.training.packing import load_training_set as load_training_set
    from clip2.training.packing import pack as pack
    from clip2.training.plan import TrainingPlan as TrainingPlan
    from clip2.training.plan import plan_training as plan_training

# Lightning Fabric takes seconds to import; an error in a configuration is reported before that.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "TrainConfig": "clip2.training.config",
        "TrainingPlan": "clip2.training.plan",
        "TrainingResult": "clip2.training.loop",
        "TrainingSet": "clip2.training.dataset",
        "fit_ood_detector": "clip2.training.fit_ood",
        "load_config": "clip2.training.config",
        "load_training_set": "clip2.training.packing",
        "pack": "clip2.training.packing",
        "plan_training": "clip2.training.plan",
        "train": "clip2.training.loop",
    },
)
