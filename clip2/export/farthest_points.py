"""Farthest-point sampling as an ONNX ``Loop``; imported only where onnxscript is installed."""

# mypy: ignore-errors
from __future__ import annotations

from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op


# A language of its own: onnxscript reads this source and makes a graph of it. mypy does not know that language.
@script(default_opset=op)
def farthest_point_sample(points: FLOAT[...], k: INT64) -> INT64[...]:
    """(B, N, 3) → (B, k) as :func:`clip2.ops.farthest_point_sample` does it, rounding included."""
    x = op.Gather(points, op.Constant(value_int=0), axis=2)
    y = op.Gather(points, op.Constant(value_int=1), axis=2)
    z = op.Gather(points, op.Constant(value_int=2), axis=2)
    nearest = op.Expand(op.Constant(value_float=float("inf")), op.Shape(x))
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    batch = op.Shape(x, start=0, end=1)
    latest = op.Expand(zero, op.Concat(batch, one, axis=0))
    column = op.Range(op.Constant(value_int=0), k, op.Constant(value_int=1))
    chosen = op.Expand(zero, op.Concat(batch, op.Reshape(k, one), axis=0))
    for step in range(k):
        chosen = op.Where(op.Equal(column, step), latest, chosen)
        dx = op.Sub(x, op.GatherElements(x, latest, axis=1))
        dy = op.Sub(y, op.GatherElements(y, latest, axis=1))
        dz = op.Sub(z, op.GatherElements(z, latest, axis=1))
        squared = op.Add(op.Add(op.Mul(dx, dx), op.Mul(dy, dy)), op.Mul(dz, dz))
        nearest = op.Min(nearest, squared)
        latest = op.ArgMax(nearest, axis=1, keepdims=1)
    return chosen
