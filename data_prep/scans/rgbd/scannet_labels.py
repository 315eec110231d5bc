"""ScanNet's human labels: objects as groups of mesh segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.geometry import OrientedBox, invert, transform_points
from data_prep.scans.formats.json_file import read_json
from data_prep.scans.frame import Annotations3D


def read_scannet_labels(
    aggregation: Path, segments: Path, vertices: NDArray, T_world_mesh: NDArray[np.float64]
) -> Annotations3D:
    """Boxes of the labeled objects, axis-aligned in the aligned scene as the detection benchmarks have them.

    Args:
        aggregation: ``SCENE.aggregation.json``: which segments make up each object, and its word.
        segments: ``SCENE_vh_clean_2.0.010000.segs.json``: the segment of every vertex.
        vertices: (V, 3) of the mesh, meters, in its own axes.
        T_world_mesh: (4, 4) axis alignment.

    Returns:
        Boxes in the mesh's axes; attribute ``object_id`` (M,).

    Raises:
        BadFrameError: files that are not such, or not of this mesh.
    """
    of_vertex = _integers(read_json(segments).get("segIndices"), segments, "segIndices")
    if len(of_vertex) != len(vertices):
        raise BadFrameError(
            f"holds {len(of_vertex)} vertices, the mesh {len(vertices)}",
            source=segments,
            field="segIndices",
            fix="use the files of the same mesh (_vh_clean_2)",
        )
    groups = read_json(aggregation).get("segGroups")
    if not isinstance(groups, list):
        raise BadFrameError("is missing", source=aggregation, field="segGroups", fix="copy the file again")
    aligned = transform_points(T_world_mesh, vertices.astype(np.float64))
    T_mesh_world = invert(T_world_mesh)
    boxes, labels, ids = [], [], []
    for number, group in enumerate(groups):
        field = f"segGroups {number}"
        if not isinstance(group, dict) or not isinstance(group.get("label"), str):
            raise BadFrameError("has no label", source=aggregation, field=field, fix="copy the file again")
        members = _integers(group.get("segments"), aggregation, f"{field} segments")
        points = aligned[np.isin(of_vertex, members)]
        if len(points) == 0:  # the decimated mesh may have lost a thing of a few centimeters
            continue
        low, high = points.min(axis=0), points.max(axis=0)
        boxes.append(OrientedBox((low + high) / 2, high - low).transformed(T_mesh_world))
        labels.append(group["label"].strip().lower().replace("_", " "))
        identity = group.get("objectId", number)
        ids.append(identity if isinstance(identity, int) else number)
    return Annotations3D(tuple(boxes), tuple(labels), attributes={"object_id": np.array(ids, dtype=np.int64)})


def _integers(values: Any, path: Path, field: str) -> NDArray[np.int64]:
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        raise BadFrameError("is not a list of whole numbers", source=path, field=field, fix="copy it again")
    return np.array(values, dtype=np.int64)
