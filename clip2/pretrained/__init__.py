"""Public point encoders by name: catalog, download, checkpoint layouts and converters."""

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CATALOG": "clip2.pretrained.catalog",
        "CheckpointLayout": "clip2.pretrained.layouts",
        "ConvertedWeights": "clip2.pretrained.converters",
        "LAYOUTS": "clip2.pretrained.layouts",
        "convert_checkpoint": "clip2.pretrained.converters",
        "PretrainedModel": "clip2.pretrained.catalog",
        "fetch_pretrained": "clip2.pretrained.fetch",
        "fill_encoder": "clip2.pretrained.converters",
        "list_pretrained": "clip2.pretrained.catalog",
        "load": "clip2.pretrained.loading",
    },
)
