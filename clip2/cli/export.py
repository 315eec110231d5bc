"""``clip2 export``: a model as ONNX graphs for machines without torch."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(kw_only=True)
class Export:
    """Write a model as ONNX graphs for clip2.runtime, TensorRT and other runtimes; no custom operators.

    DIR gets encoder.onnx, which takes neighborhood indices, encoder_full.onnx, which takes points, example inputs and
    outputs of both, the label vectors, and clip2_onnx.json, which states the preprocessing.
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A run folder, local-dir:FOLDER, hf-hub:ORG/NAME or mini-points."""
    onnx: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder to write; files of an earlier export in it are replaced."""
    opset: int = 18
    """Version of the ONNX operators, 18 to 23. Take the highest that your runtime reads."""
    int8: bool = False
    """Also write encoder_int8.onnx, with weights in 8 bits."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Export and report."""
        import clip2
        from clip2.cli.terminal import Console
        from clip2.export import export_onnx

        with Console(stderr=True).status("exporting"):
            description = export_onnx(clip2.load(self.model), self.onnx, self.opset, int8=self.int8)
        sizes = {g.file: (self.onnx / g.file).stat().st_size for g in description.graphs.values()}
        if self.json:
            print(json_format.dumps({"out": str(self.onnx), **description.model_dump(mode="json")}))
            return 0
        console = Console(highlight=False, soft_wrap=True)
        for graph in description.graphs.values():
            console.print(
                f"{graph.file}: {sizes[graph.file] / 1e6:.1f} MB, opset {description.opset}, inputs {', '.join(graph.inputs)}",
                markup=False,
            )
        labels = (
            "no label vectors"
            if description.text_bank is None
            else f"label vectors in {description.text_bank}"
        )
        console.print(f"onnxruntime agrees with torch to 1e-4; {labels}: {self.onnx}", markup=False)
        return 0
