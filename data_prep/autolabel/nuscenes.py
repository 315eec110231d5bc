"""nuScenes labels: results of detection and tracking, and for nuScenes scans the tables of a labeled dataset.

Results follow the detection and tracking tasks of the devkit, tables its schema
(https://github.com/nutonomy/nuscenes-devkit): global frame, center in the middle of the box, size width length height,
rotation w x y z.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from data_prep.autolabel.formats import FORMATS, LabelFormat, write_json
from data_prep.autolabel.labels import Label3D, LabeledFrame
from data_prep.scans import Scan
from data_prep.storage.parsing import parse_json

_TRACKED = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
_CATEGORIES = {
    "barrier": "movable_object.barrier",
    "bicycle": "vehicle.bicycle",
    "bus": "vehicle.bus.rigid",
    "car": "vehicle.car",
    "construction_vehicle": "vehicle.construction",
    "motorcycle": "vehicle.motorcycle",
    "pedestrian": "human.pedestrian.adult",
    "traffic_cone": "movable_object.trafficcone",
    "trailer": "vehicle.trailer",
    "truck": "vehicle.truck",
}
_QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
_COPIED = (
    "attribute",
    "calibrated_sensor",
    "ego_pose",
    "log",
    "map",
    "sample",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
_NOT_KNOWN = ""


@FORMATS.register("nuscenes")
class NuscenesFormat(LabelFormat):
    """``results_nusc.json``, with tracks ``tracking_results_nusc.json``, and the tables for nuScenes scans.

    The devkit's ``load_prediction`` reads the results; frame ids are the sample tokens. The table folder is named like
    the scan's: it replaces the original's in a copy of the dataset folder, and ``NuScenes`` reads it.
    """

    name = "nuscenes"
    classes: ClassVar = {
        **{name.replace("_", " "): name for name in _CATEGORIES},
        "person": "pedestrian",
        "motorbike": "motorcycle",
        "cone": "traffic_cone",
    }

    def write(self, folder: Path, scan: Scan, frames: Sequence[LabeledFrame]) -> None:
        """See :meth:`LabelFormat.write`."""
        meta = {
            "use_camera": True,
            "use_lidar": True,
            "use_radar": False,
            "use_map": False,
            "use_external": True,
        }
        detected = {frame.id: [self._detected(frame, label) for label in frame.labels] for frame in frames}
        write_json(folder / "results_nusc.json", {"meta": meta, "results": detected})
        if any(label.track is not None for frame in frames for label in frame.labels):
            tracked = {
                frame.id: [
                    self._tracked(frame, label)
                    for label in frame.labels
                    if label.track is not None and self.class_of(label.label) in _TRACKED
                ]
                for frame in frames
            }
            write_json(folder / "tracking_results_nusc.json", {"meta": meta, "results": tracked})
        tables = getattr(scan, "tables", None)
        if tables is not None:
            self._write_tables(folder / tables.name, tables, frames)

    def _detected(self, frame: LabeledFrame, label: Label3D) -> dict[str, Any]:
        return {
            **self._box(frame, label),
            "detection_name": self.class_of(label.label),
            "detection_score": float(label.score),
            "attribute_name": "",
        }

    def _tracked(self, frame: LabeledFrame, label: Label3D) -> dict[str, Any]:
        return {
            **self._box(frame, label),
            "tracking_id": str(label.track),
            "tracking_name": self.class_of(label.label),
            "tracking_score": float(label.score),
        }

    def _box(self, frame: LabeledFrame, label: Label3D) -> dict[str, Any]:
        length, width, height = label.box.size.tolist()
        rotation = label.box.rotation
        if self.class_of(label.label) == "barrier" and length > width:
            # A barrier faces across its long side there: it is wider than long.
            length, width, rotation = width, length, rotation @ _QUARTER_TURN
        velocity: NDArray[np.float64] = np.zeros(3) if label.velocity is None else label.velocity
        return {
            "sample_token": frame.id,
            "translation": label.box.center.tolist(),
            "size": [width, length, height],
            "rotation": Rotation.from_matrix(rotation).as_quat(scalar_first=True).tolist(),
            "velocity": velocity[:2].tolist(),
        }

    def _write_tables(self, folder: Path, tables: Path, frames: Sequence[LabeledFrame]) -> None:
        folder.mkdir()
        for name in _COPIED:
            if (tables / f"{name}.json").is_file():
                shutil.copyfile(tables / f"{name}.json", folder / f"{name}.json")
        categories = parse_json((tables / "category.json").read_text(encoding="utf-8"))
        token_of = {row["name"]: row["token"] for row in categories}
        objects: dict[str, list[tuple[LabeledFrame, Label3D]]] = defaultdict(list)
        for frame in frames:
            for number, label in enumerate(frame.labels):
                one = f"{frame.id} {number}" if label.track is None else f"track {label.track}"
                objects[one].append((frame, label))
        annotations: list[dict[str, Any]] = []
        instances: list[dict[str, Any]] = []
        for one, seen in objects.items():
            category = _CATEGORIES[str(self.class_of(seen[0][1].label))]
            if category not in token_of:
                token_of[category] = _token("category", category)
                categories.append({"token": token_of[category], "name": category, "description": ""})
            tokens = [_token("annotation", one, frame.id) for frame, _ in seen]
            instances.append(
                {
                    "token": _token("instance", one),
                    "category_token": token_of[category],
                    "nbr_annotations": len(seen),
                    "first_annotation_token": tokens[0],
                    "last_annotation_token": tokens[-1],
                }
            )
            for place, (frame, label) in enumerate(seen):
                box = self._box(frame, label)
                annotations.append(
                    {
                        "token": tokens[place],
                        "sample_token": frame.id,
                        "instance_token": instances[-1]["token"],
                        "visibility_token": _NOT_KNOWN,
                        "attribute_tokens": [],
                        "translation": box["translation"],
                        "size": box["size"],
                        "rotation": box["rotation"],
                        "prev": tokens[place - 1] if place else "",
                        "next": tokens[place + 1] if place + 1 < len(seen) else "",
                        "num_lidar_pts": label.num_points,
                        "num_radar_pts": 0,
                    }
                )
        write_json(folder / "category.json", categories)
        write_json(folder / "instance.json", instances)
        write_json(folder / "sample_annotation.json", annotations)


def _token(*parts: str) -> str:
    """32 hexadecimal digits, like nuScenes' own; the same in every run."""
    return hashlib.sha256("/".join(("clip2", *parts)).encode()).hexdigest()[:32]
