"""COCO files with 3D boxes, as Omni3D (Cube R-CNN) defines them.

https://github.com/facebookresearch/omni3d/blob/main/DATA.md: camera axes x right, y down, z forward; an object's own
axes are x length, y height (down), z width; corners 0 to 3 lie on one side across the width, 4 to 7 on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.autolabel.formats import FORMATS, LabelFormat, write_json
from data_prep.autolabel.labels import ImageDetection, Label3D, LabeledFrame, truncation
from data_prep.geometry import Camera, OrientedBox, box_to_image, invert
from data_prep.scans import Scan

# Signs of the corners along the object's length, height (down) and width.
_CORNERS = np.array(
    [
        [-1, -1, -1],
        [1, -1, -1],
        [1, 1, -1],
        [-1, 1, -1],
        [-1, -1, 1],
        [1, -1, 1],
        [1, 1, 1],
        [-1, 1, 1],
    ]
)


@FORMATS.register("coco3d")
class Coco3dFormat(LabelFormat):
    """One file ``coco3d.json``; every detection in every image is an annotation. Any label is a category.

    ``score``, ``quality`` and ``track_id`` are ours; other readers ignore them.
    """

    name = "coco3d"

    def write(self, folder: Path, scan: Scan, frames: Sequence[LabeledFrame]) -> None:
        """See :meth:`LabelFormat.write`."""
        names = sorted({label.label for frame in frames for label in frame.labels})
        categories = {name: number for number, name in enumerate(names, start=1)}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for frame in frames:
            for index, view in enumerate(scan[frame.position].views):
                images.append(_image(len(images) + 1, view.name, view.camera, frame.id))
                for label in frame.labels:
                    seen = label.seen_in(index)
                    if seen is None or frame.T_world_points is None:
                        continue
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": len(images),
                            "category_id": categories[label.label],
                            "category_name": label.label,
                            **_annotation(label, seen, view.camera, frame.T_world_points),
                        }
                    )
        content = {
            "info": {
                "id": 0,
                "source": scan.source,
                "name": f"auto-labels of {scan.source}",
                "split": "Train",
                "version": "0.1",
                "url": "",
            },
            "images": images,
            "categories": [
                {"id": number, "name": name, "supercategory": ""} for name, number in categories.items()
            ],
            "annotations": annotations,
        }
        write_json(folder / "coco3d.json", content)


def _image(id: int, name: str, camera: Camera, frame: str) -> dict[str, Any]:
    return {
        "id": id,
        "dataset_id": 0,
        "width": camera.width,
        "height": camera.height,
        "file_path": name,
        "file_name": name,
        "frame": frame,
        "K": camera.K.tolist(),
        "src_90_rotate": 0,
        "src_flagged": False,
    }


def _annotation(
    label: Label3D, seen: ImageDetection, camera: Camera, T_world_points: NDArray
) -> dict[str, Any]:
    in_points = label.box.transformed(invert(T_world_points))
    box = in_points.transformed(camera.T_cam_points)
    corners = omni3d_corners(box)
    x0, y0, x1, y1 = (float(value) for value in seen.box)
    length, width, height = box.size.tolist()
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "valid3D": True,
        "bbox2D_tight": [x0, y0, x1, y1],
        "bbox2D_proj": _projected(in_points, camera, clip=False),
        "bbox2D_trunc": _projected(in_points, camera, clip=True),
        "bbox3D_cam": corners.tolist(),
        "center_cam": box.center.tolist(),
        "dimensions": [width, height, length],
        "R_cam": omni3d_rotation(box).tolist(),
        "behind_camera": bool((corners[:, 2] <= 0).any()),
        "visibility": -1 if np.isnan(seen.occluded) else 1 - seen.occluded,
        "truncation": truncation(in_points, camera),
        "segmentation_pts": -1,
        "lidar_pts": label.num_points,
        "depth_error": -1,
        "score": label.score,
        "quality": label.quality,
        "track_id": -1 if label.track is None else label.track,
    }


def omni3d_rotation(box: OrientedBox) -> NDArray[np.float64]:
    """(3, 3) from Omni3D's object axes (length, down, width) to the camera.

    Args:
        box: in the camera.
    """
    return np.column_stack([box.rotation[:, 0], -box.rotation[:, 2], box.rotation[:, 1]])


def omni3d_corners(box: OrientedBox) -> NDArray[np.float64]:
    """(8, 3) corners of a box in the camera, in Omni3D's order."""
    length, width, height = box.size
    return (_CORNERS * np.array([length, height, width]) / 2) @ omni3d_rotation(box).T + box.center


def _projected(box: OrientedBox, camera: Camera, clip: bool) -> list[float]:
    found = box_to_image(box, camera, clip)
    return [-1.0] * 4 if found is None else found.tolist()
