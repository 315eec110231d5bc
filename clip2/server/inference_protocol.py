"""Open Inference Protocol v2: health, metadata and inference of the model ``encode``.

https://github.com/kserve/open-inference-protocol: the REST paths that Triton, KServe and other servers share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.object_model import ObjectModel
from clip2.version import __version__
from data_prep.errors import InputError

MODEL = "encode"
_DTYPES = {
    "FP32": np.float32, "FP64": np.float64, "UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64
}  # fmt: skip


def server_metadata() -> dict[str, Any]:
    """Answer of ``GET /v2``."""
    return {"name": "clip2", "version": __version__, "extensions": []}


def model_metadata(model: ObjectModel) -> dict[str, Any]:
    """Answer of ``GET /v2/models/encode``; -1 is any size."""
    return {
        "name": MODEL,
        "versions": ["1"],
        "platform": "pytorch",
        "inputs": [
            {"name": "points", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "lengths", "datatype": "INT64", "shape": [-1]},
            {"name": "colors", "datatype": "UINT8", "shape": [-1, 3]},
        ],
        "outputs": [
            {"name": "embeddings", "datatype": "FP32", "shape": [-1, model.teacher.width]},
            {"name": "in_distribution", "datatype": "BOOL", "shape": [-1]},
        ],
        "parameters": {"space": model.teacher.name},
    }


def infer_inputs(
    document: dict[str, Any], max_points: int, max_objects: int
) -> tuple[list[NDArray], list[NDArray | None]]:
    """Clouds and colors of an inference request.

    Args:
        document: with the input ``points``, (T, 3) together with ``lengths`` (B,), or (B, n, 3); and perhaps ``colors``
            of the same shape.
        max_points: most points of all clouds.
        max_objects: most clouds.

    Raises:
        InputError: an input that is missing, unknown, or of another shape or type.
    """
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        raise InputError("is missing", source="body", field="inputs", fix="send a list of tensors")
    tensors = dict(_tensor(item) for item in inputs)
    if unknown := sorted(set(tensors) - {"points", "lengths", "colors"}):
        raise InputError("is not an input of encode", source="body", field=unknown[0])
    points = tensors.get("points")
    if points is None or points.shape[-1:] != (3,) or points.ndim not in (2, 3):
        got = "missing" if points is None else f"of shape {list(points.shape)}"
        raise InputError(
            f"is {got}", source="body", field="points", fix="send [B, n, 3], or [T, 3] and lengths [B]"
        )
    lengths = tensors.get("lengths")
    if points.ndim == 3:
        if lengths is not None:
            raise InputError("belongs to points of shape [T, 3]", source="body", field="lengths")
        lengths = np.full(len(points), points.shape[1], np.int64)
    elif lengths is None:
        lengths = np.array([len(points)], np.int64)
    flat = points.reshape(-1, 3)
    if (
        lengths.ndim != 1
        or lengths.dtype.kind != "i"
        or (lengths < 1).any()
        or int(lengths.sum()) != len(flat)
    ):
        raise InputError(f"do not add up to {len(flat)} points", source="body", field="lengths")
    if len(flat) > max_points or len(lengths) > max_objects or not len(lengths):
        raise InputError(
            f"hold {len(lengths):,} clouds of {len(flat):,} points",
            source="body",
            field="points",
            fix=f"send 1 to {max_objects:,} clouds of at most {max_points:,} points",
        )
    colors = tensors.get("colors")
    if colors is not None and (colors.shape != points.shape or colors.dtype != np.uint8):
        raise InputError("are not UINT8 of the shape of points", source="body", field="colors")
    cuts = np.cumsum(lengths)[:-1]
    clouds = np.split(flat, cuts)
    return clouds, [None] * len(clouds) if colors is None else list(np.split(colors.reshape(-1, 3), cuts))


def infer_answer(
    document: dict[str, Any], embeddings: NDArray[np.float32], known: NDArray[np.bool_]
) -> dict[str, Any]:
    """Answer of an inference request."""
    outputs = [
        _output("embeddings", "FP32", np.round(embeddings.astype(np.float64), 7)),
        _output("in_distribution", "BOOL", known),
    ]
    wanted = document.get("outputs")
    if wanted is not None:
        if not isinstance(wanted, list) or not all(isinstance(item, dict) for item in wanted):
            raise InputError("is not a list of tensors", source="body", field="outputs")
        names = [item.get("name") for item in wanted]
        outputs = [output for output in outputs if output["name"] in names]
        if len(outputs) < len(names):
            raise InputError(
                f"are {names}", source="body", field="outputs", fix="ask for embeddings, in_distribution"
            )
    identity = {"id": document["id"]} if isinstance(document.get("id"), str) else {}
    return {"model_name": MODEL, "model_version": "1", **identity, "outputs": outputs}


def _tensor(item: Any) -> tuple[str, NDArray]:
    """Name and values of a tensor; ``data`` may be flat or nested."""
    try:
        name, shape, dtype = str(item["name"]), [int(n) for n in item["shape"]], _DTYPES[item["datatype"]]
        values = np.asarray(item["data"], np.float64)
        if min(shape, default=0) < 0:
            raise ValueError
        values = values.reshape(shape)
        with np.errstate(all="ignore"):
            array = values.astype(dtype)
        if dtype not in (np.float32, np.float64) and not np.array_equal(array, values):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"is not a tensor ({type(error).__name__})",
            source="body",
            field=str(item.get("name", "inputs"))[:40] if isinstance(item, dict) else "inputs",
            fix='send {"name": …, "shape": […], "datatype": "FP32", "data": […]} with as many values as the shape says',
        ) from error
    return name, array


def _output(name: str, datatype: str, values: NDArray) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}
