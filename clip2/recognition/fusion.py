"""Voxel fusion of posed frames into one cloud."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry.voxels import number_cells, voxel_cells
from data_prep.scans import Frame


def fuse_frames(frames: Iterable[Frame], size: float = 0.02) -> Frame:
    """Fuse posed frames into one cloud: the mean position and color of the points in each voxel.

    Args:
        frames: each with its ``T_world_points``; read one at a time. Colors are kept if all have them.
        size: of a voxel, meters.

    Returns:
        A frame without views. Its points are relative to the first point of the first frame, rounded down to meters,
        so that survey coordinates survive float32. It has the notes of all frames,
        and one more if several frames have the same pose, as if they had none.

    Raises:
        InputError: no frames, a size that is not above 0, or voxels too small for the extent of the frames.

    >>> from data_prep import Frame
    >>> frames = [Frame.build(name, np.array([[0.01, 0, 0], [x, 0, 0]])) for name, x in (("a", 1.0), ("b", 2.0))]
    >>> fused = fuse_frames(frames, size=0.1)
    >>> fused.id, len(fused.points)
    ('a-b', 3)
    """
    origin: NDArray | None = None
    cells = np.zeros((3, 0), np.int64)
    sums = np.zeros((0, 7))
    colored, ids, notes, poses, timestamp = True, [], list[str](), set[bytes](), None
    for frame in frames:
        world = frame.world_points()
        if origin is None:
            origin, timestamp = np.floor(world[0]), frame.timestamp
        ids.append(frame.id)
        poses.add(frame.T_world_points.tobytes())
        notes += [f"frame {frame.id}: {note}" for note in frame.notes]
        colored = colored and frame.colors is not None
        local = world - origin
        values = np.ones((len(local), 7))
        values[:, :3] = local
        values[:, 3:6] = 0 if frame.colors is None else frame.colors
        cells = np.concatenate([cells, voxel_cells(np.ascontiguousarray(local.T), size)], axis=1)
        cells, sums = _merge(cells, np.concatenate([sums, values]))
    if origin is None:
        raise InputError("has no frames", source="sequence")
    if len(ids) > 1 and len(poses) == 1:
        notes.append(
            f"all {len(ids)} frames have the same pose: if the sensor moved, poses are missing and objects are doubled"
        )
    mean = sums[:, :6] / sums[:, 6:]
    T_world_points = np.eye(4)
    T_world_points[:3, 3] = origin
    name = ids[0] if len(ids) == 1 else f"{ids[0]}-{ids[-1]}"
    return Frame(
        id=name,
        points=mean[:, :3].astype(np.float32),
        colors=np.round(mean[:, 3:]).astype(np.uint8) if colored else None,
        T_world_points=T_world_points,
        timestamp=timestamp,
        notes=tuple(notes),
    )


def _merge(cells: NDArray[np.int64], sums: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    key = number_cells(cells)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return cells[:, order[starts]], np.add.reduceat(sums[order], starts)
