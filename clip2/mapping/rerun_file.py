"""Object map as a recording for the rerun viewer, over its frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.mapping.object_map import ObjectMap
from clip2.recognition.instances import instance_palette
from clip2.recognition.rerun_file import log_boxes, log_points, write_recording


def write_map_recording(object_map: ObjectMap, path: str | Path) -> Path:
    """Write an ``.rrd`` file: ``world/points`` of all objects, and ``world/objects/ID``, the box of each over the frames.

    The box of an object is there from the frame that confirmed it, follows the object, and goes when it is lost. The
    timeline is called ``frame``.

    Args:
        object_map: with its objects.
        path: of the file.

    Raises:
        InputError: the rerun SDK is missing.
    """
    result = object_map.query(states=("confirmed", "lost"), points=True)
    assert result.track_ids is not None
    palette = instance_palette(len(result))
    if result.colors is None and result.points is not None:  # then a point has the color of its object
        owners = result.owners()
        result = replace(result, colors=np.where(owners[:, None] >= 0, palette[owners], 110).astype(np.uint8))

    def log(rr: Any, recording: Any, origin: NDArray[np.float64]) -> None:
        if len(result):
            log_points(rr, recording, result, origin)
        for i, id in enumerate(result.track_ids.tolist()):  # type: ignore[union-attr]
            entity, shown = f"world/objects/{id}", False
            for frame, box, state in object_map.objects[id].history:
                recording.set_time("frame", sequence=frame)
                if state == "confirmed":
                    turned = Rotation.from_euler("z", box[6]).as_matrix()
                    then = replace(result[i], boxes=box[None], rotations=turned[None])
                    log_boxes(rr, recording, entity, then, origin, palette[i : i + 1])
                elif shown:
                    recording.log(entity, rr.Clear(recursive=False))
                shown = state == "confirmed"

    return write_recording(path, result, log)
