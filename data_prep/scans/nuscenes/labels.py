"""The boxes of nuScenes: table ``sample_annotation``, kept as arrays because it has a million rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import OrientedBox, quaternion_to_rotation, rigid
from data_prep.scans.frame import Annotations3D
from data_prep.scans.nuscenes.tables import Table

# Where the last part of a category is not the word for it: the names of the detection challenge.
_WORDS = {
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic cone",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.construction": "construction vehicle",
    "vehicle.emergency.police": "police car",
}


class NuscenesLabels:
    """All boxes of a version folder, by sample.

    Args:
        folder: the version folder.
        samples: tokens of the samples whose boxes are kept.

    Raises:
        BadDatasetError: a table, field or token is missing.
    """

    def __init__(self, folder: Path, samples: list[str]) -> None:
        place_of = {token: place for place, token in enumerate(samples)}
        category_table, instance_table = Table(folder, "category"), Table(folder, "instance")
        categories = category_table.by_token()
        self.categories = [category_table.value(row, "name") for row in categories.values()]
        number_of = {token: number for number, token in enumerate(categories)}
        instances = {
            instance_table.value(row, "token"): (
                number,
                instance_table.follow(row, "category_token", number_of, "category"),
            )
            for number, row in enumerate(instance_table)
        }
        table = Table(folder, "sample_annotation")
        self._path = table.path
        rows, numbers = [], []
        self.total = 0
        for row in table:
            self.total += 1
            if (place := place_of.get(table.value(row, "sample_token"))) is None:
                continue
            instance, category = table.follow(row, "instance_token", instances, "instance")
            points = table.number(row, "num_lidar_pts", -1)
            rows.append((place, category, instance, points, _level(row.get("visibility_token"))))
            table.pose(row)  # refuses what is no rotation
            size = table.value(row, "size", list)
            if len(size) != 3 or not all(isinstance(s, (int, float)) and 0 <= s < np.inf for s in size):
                raise table.error(f"is {size}", f"{row.get('token')}.size")
            numbers.append([*row["translation"], *size, *row["rotation"]])
        columns = np.array(rows, np.int32).reshape(-1, 5)
        order = np.argsort(columns[:, 0], kind="stable")
        self._columns, self._numbers = columns[order], np.array(numbers).reshape(-1, 10)[order]
        self._starts = np.searchsorted(self._columns[:, 0], np.arange(len(samples) + 1))

    def of(self, sample: int, T_points_global: NDArray[np.float64]) -> Annotations3D:
        """Boxes of one sample, in the frame that ``T_points_global`` leads to."""
        rows = slice(self._starts[sample], self._starts[sample + 1])
        columns = self._columns[rows]
        boxes = [
            OrientedBox(
                numbers[:3],
                numbers[[4, 3, 5]],  # the table has width, length, height
                rigid(quaternion_to_rotation(numbers[6:]))[:3, :3],
            ).transformed(T_points_global)
            for numbers in self._numbers[rows]
        ]
        names = [self.categories[number] for number in columns[:, 1]]
        attributes: dict[str, NDArray] = {
            "category": np.array(names, dtype=object),
            "track_id": columns[:, 2].astype(np.int64),
            "num_lidar_pts": columns[:, 3].astype(np.int64),
            "visibility": columns[:, 4].astype(np.int64),
        }
        return Annotations3D(tuple(boxes), tuple(map(label_of, names)), None, attributes)


def label_of(category: str) -> str:
    """The word for a category of nuScenes.

    >>> label_of("human.pedestrian.adult"), label_of("static_object.bicycle_rack"), label_of("vehicle.car")
    ('pedestrian', 'bicycle rack', 'car')
    """
    return _WORDS.get(category, category.rpartition(".")[2].replace("_", " ").lower())


def _level(token: object) -> int:
    """1 to 4 (up to 40, 60, 80, 100 % visible); 0 where nobody said."""
    return int(token) if isinstance(token, str) and token.isdecimal() else 0
