"""Export of point encoders to ONNX."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"export_onnx": "clip2.export.graphs"})

if TYPE_CHECKING:
    from clip2.export.graphs import export_onnx as export_onnx
