"""Exported models without torch: numpy, onnxruntime and a text bank are all that a robot needs."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"OnnxModel": "clip2.runtime.model"})

if TYPE_CHECKING:
    from clip2.runtime.model import OnnxModel as OnnxModel
