"""8-bit weights of an exported encoder, by onnxruntime's dynamic quantization."""

from __future__ import annotations

from pathlib import Path

from clip2.runtime.description import Graph
from data_prep.storage.files import file_sha256, write_atomically

# Layers of coordinates and colors stay in full precision: eight bits would blur the shape itself.
_NARROW = 16


def write_int8(folder: Path, encoder: Graph) -> Graph:
    """Write ``encoder_int8.onnx`` from ``encoder.onnx``: weights per channel in bytes, activations as they come.

    Weights use seven of the eight bits: processors without VNNI add two products in 16 bits, and full bytes overflow there.

    Args:
        folder: with the graph of ``encoder``.
        encoder: record of the float graph; the reference stays that of the float model.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(folder / encoder.file)
    # It is optimized already; quantization would otherwise warn that it is not.
    onnx.helper.set_model_props(graph, {"onnx.quant.pre_process": "onnxruntime.quant"})
    shapes = {weight.name: tuple(weight.dims) for weight in graph.graph.initializer}
    narrow = [
        node.name
        for node in graph.graph.node
        if node.op_type in ("MatMul", "Gemm") and min(shapes.get(node.input[1], (0,))) <= _NARROW
    ]
    path = folder / "encoder_int8.onnx"
    write_atomically(
        path,
        lambda scratch: quantize_dynamic(
            graph,
            scratch,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=narrow,
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,
        ),
    )
    return encoder.model_copy(update={"file": path.name, "sha256": file_sha256(path)})
