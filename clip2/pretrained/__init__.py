"""Public point encoders: checkpoint layouts and converters."""

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CheckpointLayout": "clip2.pretrained.layouts",
        "ConvertedWeights": "clip2.pretrained.converters",
        "LAYOUTS": "clip2.pretrained.layouts",
        "convert_checkpoint": "clip2.pretrained.converters",
        "fill_encoder": "clip2.pretrained.converters",
    },
)
