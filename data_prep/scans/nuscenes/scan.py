"""nuScenes reader: keyframes with a LiDAR sweep and six cameras, and their labeled boxes.

Official layout (https://www.nuscenes.org/nuscenes#data-format)::

    v1.0-mini/*.json  samples/LIDAR_TOP/*.pcd.bin  samples/CAM_*/*.jpg  sweeps/LIDAR_TOP/*.pcd.bin

Other datasets that come in these tables (Lyft Level 5, aiMotive, simulators) are read too; name their LiDAR.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox, invert, quaternion_to_rotation, rigid, transform_points
from data_prep.labels import normalize_label
from data_prep.scans.formats.images import read_image, require_centered
from data_prep.scans.formats.records import read_records, require_finite
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.nuscenes.index import Keyframe, NuscenesIndex, Recording
from data_prep.scans.nuscenes.tables import Table
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

_COLUMNS = 5  # x y z intensity ring
# Returns of the car's own roof: |x| and |y| below this at the sensor (nuscenes-devkit, remove_close).
_OWN_CAR = 1.0
# Labels that are not the last part of their category: the names of the detection challenge.
_LABELS = {
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


@register_source("nuscenes")
class NuscenesScan(IndexedScan[Keyframe]):
    """Keyframes of nuScenes, scene by scene, in time order.

    Points are in the LiDAR's axes (x right, y forward, z up), the origin at the sensor, about 1.84 m above the
    road. ``T_world_points`` leads to the global frame of the location's map (z up). Every camera has a pose of its
    own moment: camera and LiDAR meet in the global frame, over two different ego poses. Images are undistorted.

    Args:
        root: the folder that holds ``samples`` and the version folders.
        version: folder of the tables; None = the only one there.
        scenes: names like ``scene-0061``; None = all.
        sweeps: how many earlier sweeps are added to the keyframe's own, moved by the car's motion. With any,
            returns of the own car (within 1 m of the sensor in x and y) are left out of all, as the devkit does.
            At the beginning of a scene there are fewer.
        cameras: channels; None = all.
        lidar: channel of the sweeps.

    Raises:
        InputError: a negative number of sweeps.
        BadDatasetError: no or several version folders, an unknown scene or sensor, or tables that contradict
            themselves.

    Attributes:
        tables: the version folder.
    """

    source = "nuscenes"

    def __init__(
        self,
        root: Path,
        version: str | None = None,
        scenes: Sequence[str] | None = None,
        sweeps: int = 0,
        cameras: Sequence[str] | None = None,
        lidar: str = "LIDAR_TOP",
    ) -> None:
        root = Path(root)
        if sweeps < 0:
            raise InputError(f"is {sweeps}", field="sweeps", fix="give 0 or more")
        scenes, cameras = ([names] if isinstance(names, str) else names for names in (scenes, cameras))
        self.tables = _version_folder(root, version)
        self._index = NuscenesIndex(self.tables, lidar, cameras, sweeps, scenes)
        self._lidar, self._accumulate = lidar, sweeps > 0
        self._labels: NuscenesLabels | None = None
        super().__init__(root, {key.token: key for key in self._index.keyframes}, "samples in sample.json")

    def read(self, id: str, entry: Keyframe) -> Frame:
        lidar = self._lidar_of(entry)
        T_global_lidar = self._pose(lidar)
        records = self._sweep(lidar)
        if self._accumulate:
            parts = [_without_own_car(records)]
            for earlier in entry.sweeps:
                part = _without_own_car(self._sweep(earlier))
                T_lidar_earlier = invert(T_global_lidar) @ self._pose(earlier)
                moved = transform_points(T_lidar_earlier, part[:, :3].astype(np.float64))
                parts.append(np.c_[moved, part[:, 3:]].astype(np.float32))
            records = np.concatenate(parts)
        return Frame.build(
            id,
            records[:, :3],
            intensity=records[:, 3] / np.float32(255),
            views=tuple(self._view(entry, name, T_global_lidar) for name in self._index.cameras),
            T_world_points=T_global_lidar,
            timestamp=lidar.timestamp / 1e6,
        )

    def view_names(self, id: str, entry: Keyframe) -> list[str]:
        return [image.filename for image in entry.images.values()]

    def world(self, id: str, entry: Keyframe) -> str:
        """The scene: others at the same place were seen at other times."""
        return entry.scene

    def annotations(self, index: int) -> Annotations3D | None:
        """Labeled boxes in the LiDAR's axes; None where the tables hold none (``v1.0-test``).

        Attributes: ``category`` (official name), ``track_id`` (row of the instance table), ``num_lidar_pts`` (of
        the keyframe's own sweep; -1 = not stated), ``visibility`` (1 to 4; 0 = not stated).
        """
        if not (self.tables / "sample_annotation.json").is_file():
            return None
        if self._labels is None:
            self._labels = NuscenesLabels(self.tables, self._ids)
        if self._labels.total == 0:
            return None
        position = range(len(self))[index]
        return self._labels.of(position, invert(self._pose(self._lidar_of(self._entries[position]))))

    def _view(self, key: Keyframe, channel: str, T_global_lidar: NDArray[np.float64]) -> View:
        if channel not in key.images:
            raise self._absent(key, channel, "cameras=")
        recording = key.images[channel]
        path = self.root / recording.filename
        image = read_image(path)
        height, width = image.shape[:2]
        K = self._index.sensors[recording.sensor].K
        assert K is not None
        require_centered(K, width, height, path)
        # The table knows the size; an image of another size is refused by the view.
        camera = Camera(
            K,
            recording.width or width,
            recording.height or height,
            invert(T_global_lidar) @ self._pose(recording),
        )
        return View(recording.filename, camera, image)

    def _lidar_of(self, key: Keyframe) -> Recording:
        if key.lidar is None:
            raise self._absent(key, self._lidar, "lidar=")
        return key.lidar

    def _absent(self, key: Keyframe, channel: str, option: str) -> BadFrameError:
        return BadFrameError(
            f"has no keyframe of {channel} for this sample",
            source=self.tables / "sample_data.json",
            field=f"sample {key.token}",
            fix=f"complete the table or choose with {option}",
        )

    def _pose(self, recording: Recording) -> NDArray[np.float64]:
        """(4, 4) T_global_sensor at the moment of the recording."""
        return self._index.egos[recording.ego] @ self._index.sensors[recording.sensor].T_ego_sensor

    def _sweep(self, recording: Recording) -> NDArray[np.float32]:
        path = self.root / recording.filename
        records = read_records(path, _COLUMNS)
        require_finite(records[:, :3], path)
        return records


def _without_own_car(records: NDArray[np.float32]) -> NDArray[np.float32]:
    return records[(np.abs(records[:, :2]) >= _OWN_CAR).any(axis=1)]


def _version_folder(root: Path, version: str | None) -> Path:
    """The folder of the tables.

    Raises:
        BadDatasetError: not there, or several to choose from.
    """
    found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
    if version is None and len(found) == 1:
        return root / found[0]
    if version in found:
        return root / version
    if not found:
        problem = f"holds no folder of tables{f' {version!r}' if version else ''}"
        fix = "point at the folder that holds v1.0-mini, v1.0-trainval or the like, and samples"
    else:
        problem = f"{version!r} is not there" if version else f"holds {len(found)} versions"
        fix = f"state version={found[0]}" + "".join(f" or {name}" for name in found[1:])
    raise BadDatasetError(problem, source=root, field="version", fix=fix)


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
    """Label of a category of nuScenes.

    >>> label_of("human.pedestrian.adult"), label_of("static_object.bicycle_rack"), label_of("vehicle.car")
    ('pedestrian', 'bicycle rack', 'car')
    """
    return _LABELS.get(category, normalize_label(category.rpartition(".")[2]))


def _level(token: object) -> int:
    """1 to 4 (up to 40, 60, 80, 100 % visible); 0 where nobody said."""
    return int(token) if isinstance(token, str) and token in ("1", "2", "3", "4") else 0
