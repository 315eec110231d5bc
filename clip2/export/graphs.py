"""ONNX graphs of a model, through ``torch.export``: made of standard operators only, and checked against torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim

from clip2.export.tracing import IndexedModel, WholeModel, index_plan, prepared
from clip2.model import Clip2Model
from clip2.preprocessing import MOST_POINTS
from clip2.runtime.description import BANK_FILE, OOD_FILE, Graph, IndexPlan, OnnxDescription
from clip2.runtime.indices import plan_indices
from clip2.version import __version__
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra
from data_prep.storage.files import file_sha256, require_writable, write_atomically

OPSETS = range(18, 24)  # torch writes no older ones
OUTPUTS = ("embeddings", "features")
# More than rounding apart: the graph would not be the model.
_TOLERANCE = 1e-4
_REFERENCE_CLOUDS = 4


def export_onnx(
    model: Clip2Model, folder: str | Path, opset: int = 18, *, int8: bool = False
) -> OnnxDescription:
    """Write a model as ONNX graphs that need neither torch nor custom operators.

    ``encoder.onnx`` takes neighborhood indices as inputs, which :mod:`clip2.runtime` computes; ``encoder_full.onnx``
    takes points and finds them itself. Batch and points are dynamic in both. Beside each lie example inputs and torch's
    outputs for them, which onnxruntime reproduced to 1e-4 before anything was written.

    Args:
        model: as :func:`clip2.load` returns it.
        folder: created if needed; files of an earlier export in it are replaced.
        opset: version of the ONNX operators, 18 to 23.
        int8: also write ``encoder_int8.onnx`` with 8-bit weights.

    Returns:
        The content of ``clip2_onnx.json``.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, or torch is older than 2.11; an opset that torch
            does not write; an encoder whose indices are not one sample and neighborhoods in it; a graph that differs
            from the model.

    >>> import clip2
    >>> export_onnx(clip2.load("mini-points"), "robot", opset=9)
    Traceback (most recent call last):
    data_prep.errors.InputError: opset: is 9. Fix: use 18 to 23; torch writes no others
    """
    if opset not in OPSETS:
        raise InputError(
            f"is {opset}", field="opset", fix=f"use {OPSETS[0]} to {OPSETS[-1]}; torch writes no others"
        )
    if not hasattr(torch.onnx.ONNXProgram, "rename_axes"):
        raise InputError(
            f"needs torch 2.11 or newer, this is {torch.__version__}",
            source="export",
            fix="pip install 'torch>=2.11'",
        )
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require_extra(module, "export", needed_for="export")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    require_writable(folder, "onnx")
    place, was_training = model.device, model.training
    model.eval().cpu()
    try:
        plan = index_plan(model)
        sides = [_indexed(model, plan), _whole(model, plan)]
        graphs = {side.name: side.write(folder, opset) for side in sides}
        if int8:
            from clip2.export.int8 import write_int8

            graphs["encoder_int8"] = write_int8(folder, graphs["encoder"])
    finally:
        model.to(place).train(was_training)
    if model.text_bank is not None:
        model.text_bank.save(folder / BANK_FILE)
    if model.ood_detector is not None:
        model.ood_detector.save(folder / OOD_FILE)
    description = OnnxDescription(
        clip2_version=__version__,
        opset=opset,
        model=model.config,
        logit_scale=model.logit_scale,
        plan=plan,
        graphs=graphs,
        text_bank=None if model.text_bank is None else BANK_FILE,
        ood=None if model.ood_detector is None else OOD_FILE,
    )
    description.save(folder)
    return description


@dataclass(frozen=True)
class _Side:
    """One of the two graphs: a module, example inputs by name, and which of their axes are dynamic."""

    name: str
    module: IndexedModel | WholeModel
    arguments: tuple[Any, ...]
    axes: tuple[Any, ...]
    inputs: dict[str, torch.Tensor]

    def write(self, folder: Path, opset: int) -> Graph:
        """Write NAME.onnx and NAME.npz once onnxruntime agrees with torch."""
        program = self._program(opset)
        inputs = {name: value.numpy() for name, value in self.inputs.items()}
        expected = self._expected()
        _require_equal(program.model_proto.SerializeToString(), inputs, expected, self.name)
        path, reference = folder / f"{self.name}.onnx", folder / f"{self.name}.npz"
        write_atomically(path, lambda scratch: scratch.write_bytes(program.model_proto.SerializeToString()))
        arrays = {
            **{f"input/{n}": v for n, v in inputs.items()},
            **{f"output/{n}": v for n, v in expected.items()},
        }
        write_atomically(reference, lambda scratch: _save_npz(scratch, arrays))
        return Graph(file=path.name, sha256=file_sha256(path), inputs=tuple(inputs), reference=reference.name)

    def _expected(self) -> dict[str, NDArray[np.float32]]:
        """What the model itself gives for the example inputs."""
        points = self.inputs["points"]
        lengths = self.inputs.get("lengths", torch.full(points.shape[:1], points.shape[1]))
        further = (self.inputs.get(name) for name in ("colors", "has_color", "radii"))
        with torch.no_grad():
            outputs = self.module.model._infer(prepared(self.module.model, points, lengths, *further))
        return {name: value.numpy() for name, value in zip(OUTPUTS, outputs, strict=True)}

    def _program(self, opset: int) -> torch.onnx.ONNXProgram:
        import onnxscript.optimizer

        from clip2.export.farthest_points import farthest_point_sample

        with torch.no_grad():
            exported = torch.export.export(
                self.module, self.arguments, dynamic_shapes=self.axes, strict=False
            )
            program = torch.onnx.export(
                exported,
                opset_version=opset,
                input_names=list(self.inputs),
                output_names=list(OUTPUTS),
                custom_translation_table={
                    torch.ops.clip2.farthest_point_sample.default: farthest_point_sample
                },
                verbose=False,
            )
        assert program is not None
        # Without limits, so that BatchNorm is folded into every layer; int8 needs constant weights.
        onnxscript.optimizer.optimize_ir(program.model, input_size_limit=1 << 31, output_size_limit=1 << 31)
        shape = program.model.graph.inputs[0].shape
        assert shape is not None
        program.rename_axes({str(shape[0]): "batch", str(shape[1]): "points"})
        return program


def _indexed(model: Clip2Model, plan: IndexPlan) -> _Side:
    count = max(plan.samples, model.preprocessing.num_points, 16)
    sizes = torch.tensor([16, count // 2, count - 1, count])[-_REFERENCE_CLOUDS:]
    inputs = _examples(model, count)
    inputs = {"points": inputs.pop("points"), "lengths": sizes, **inputs}
    indices = plan_indices(inputs["points"].numpy(), sizes.numpy(), plan)
    inputs |= dict(zip(plan.names, map(torch.from_numpy, indices), strict=True))
    # With as many points as centers, no number of centers depends on the number of points.
    batch, points = (
        Dim("batch", min=2, max=MOST_POINTS),
        Dim("points", min=max(plan.samples, 2), max=MOST_POINTS),
    )
    axes = {"points": {0: batch, 1: points}, "lengths": {0: batch}, "colors": {0: batch, 1: points}}
    arguments = (*(inputs.get(n) for n in ("points", "lengths", "colors", "has_color", "radii")),)
    given = [inputs[name] for name in plan.names]
    shapes = (
        *(
            axes.get(n, {0: batch}) if n in inputs else None
            for n in ("points", "lengths", "colors", "has_color", "radii")
        ),
        [{0: batch} for _ in given],
    )
    return _Side("encoder", IndexedModel(model, plan).eval(), (*arguments, given), shapes, inputs)


def _whole(model: Clip2Model, plan: IndexPlan) -> _Side:
    inputs = _examples(model, model.preprocessing.num_points)
    batch, points = Dim("batch", min=2, max=MOST_POINTS), Dim("points", min=2, max=MOST_POINTS)
    names = ("points", "colors", "has_color", "radii")
    axes = {"points": {0: batch, 1: points}, "colors": {0: batch, 1: points}}
    shapes = tuple(axes.get(name, {0: batch}) if name in inputs else None for name in names)
    arguments = tuple(inputs.get(name) for name in names)
    return _Side("encoder_full", WholeModel(model, plan).eval(), arguments, shapes, inputs)


def _examples(model: Clip2Model, count: int) -> dict[str, torch.Tensor]:
    """Random clouds as the preprocessing leaves them, and the further inputs that the model takes."""
    draw = torch.Generator().manual_seed(0)
    batch = _REFERENCE_CLOUDS
    clouds = torch.randn(batch, count, 3, generator=draw)
    points, radii = model.preprocessing.normalize(clouds, torch.full((batch,), count))
    inputs = {"points": points}
    if model.preprocessing.color:
        inputs["colors"] = torch.rand(batch, count, 3, generator=draw)
        inputs["has_color"] = torch.arange(batch) % 2 == 0
    if model.preprocessing.size:
        inputs["radii"] = radii
    return inputs


def _require_equal(
    graph: bytes, inputs: Mapping[str, NDArray], expected: Mapping[str, NDArray], name: str
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    got = session.run(list(expected), dict(inputs))
    for output, wanted, found in zip(expected, expected.values(), got, strict=True):
        error = float(np.abs(wanted - found).max())
        if not error <= _TOLERANCE:
            raise InputError(
                f"differs from torch by {error:.2g} in {output}",
                source=name,
                fix="export with other versions of torch and onnxscript",
            )


def _save_npz(path: Path, arrays: Mapping[str, NDArray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
