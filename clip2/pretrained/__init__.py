"""Public point encoders by name: catalogue, download, checkpoint layouts and converters."""

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CATALOGUE": "clip2.pretrained.catalogue",
        "CheckpointLayout": "clip2.pretrained.layouts",
        "ConvertedWeights": "clip2.pretrained.converters",
        "LAYOUTS": "clip2.pretrained.layouts",
        "convert_checkpoint": "clip2.pretrained.converters",
        "PretrainedModel": "clip2.pretrained.catalogue",
        "fetch_pretrained": "clip2.pretrained.fetch",
        "fill_encoder": "clip2.pretrained.converters",
        "list_pretrained": "clip2.pretrained.catalogue",
        "load": "clip2.pretrained.loading",
    },
)
