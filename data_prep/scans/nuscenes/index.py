"""Keyframe index of nuScenes: files, sensors and ego poses from the tables."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.scans.nuscenes.tables import Row, Table
from data_prep.scans.scan import choose_names
from data_prep.storage.reading import stays_inside

# Clockwise from the front, as the cameras sit on the car.
_CAMERAS = (
    "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT"
)  # fmt: skip
_SAFE = re.compile(r"[A-Za-z0-9_-]+")


class Recording(NamedTuple):
    """One row of ``sample_data``: a sweep or an image.

    Attributes:
        filename: relative to the dataset's root.
        timestamp: microseconds.
        width, height: of an image; 0 where the table does not say.
        sensor: token in ``calibrated_sensor``.
        ego: row of :attr:`NuscenesIndex.egos`: where the car was at that moment.
        previous: token of the recording before it by the same sensor, or empty.
    """

    filename: str
    timestamp: int
    width: int
    height: int
    sensor: str
    ego: int
    previous: str


@dataclass(frozen=True)
class Sensor:
    """One sensor as mounted during one scene.

    Attributes:
        T_ego_sensor: (4, 4).
        K: (3, 3) of a camera, None for others.
    """

    T_ego_sensor: NDArray[np.float64]
    K: NDArray[np.float64] | None


@dataclass(frozen=True)
class Keyframe:
    """One row of ``sample``.

    Attributes:
        token: its token.
        scene: name of its scene.
        timestamp: microseconds.
        lidar: its sweep, None where the table has none.
        images: camera → its image.
        sweeps: earlier sweeps of the same LiDAR, the latest first.
    """

    token: str
    scene: str
    timestamp: int
    lidar: Recording | None
    images: dict[str, Recording]
    sweeps: tuple[Recording, ...]


class NuscenesIndex:
    """Keyframes in the order of scenes and of time within a scene.

    ``sample_data`` and ``ego_pose`` are read once, row by row; kept are the keyframes of the wanted sensors, and all
    sweeps of the LiDAR where ``sweeps`` are wanted. Stated for the full trainval set in ``docs/sources.md``.

    Args:
        folder: the version folder.
        lidar: channel of the sweeps.
        cameras: channels of the images; None = every camera that the table ``sensor`` lists.
        sweeps: how many earlier sweeps belong to a keyframe.
        scenes: names; None = all.

    Attributes:
        keyframes: in order.
        cameras: channels, the front camera first, then clockwise.
        sensors: ``calibrated_sensor`` token → sensor.
        egos: (M, 4, 4) float64 T_global_ego.

    Raises:
        BadDatasetError: a table, field or token is missing, a pose is no rotation, or time runs backwards.
    """

    def __init__(
        self,
        folder: Path,
        lidar: str,
        cameras: Sequence[str] | None,
        sweeps: int,
        scenes: Sequence[str] | None,
    ) -> None:
        self._folder = folder
        channel_of = self._read_sensors(lidar, cameras)
        samples = self._read_samples(scenes)
        of_sample, chain, ego_tokens = self._read_recordings(samples, channel_of, lidar, sweeps > 0)
        self.egos = self._read_egos(ego_tokens)
        self.keyframes = [
            Keyframe(
                token,
                scene,
                timestamp,
                lidar=of_sample.get((token, lidar)),
                images={name: image for name in self.cameras if (image := of_sample.get((token, name)))},
                sweeps=self._earlier(of_sample.get((token, lidar)), chain, sweeps),
            )
            for token, (scene, timestamp) in samples.items()
        ]

    def _read_sensors(self, lidar: str, cameras: Sequence[str] | None) -> dict[str, str]:
        """Reads ``sensor`` and ``calibrated_sensor``; returns calibrated token → channel."""
        table = Table(self._folder, "sensor")
        sensors = table.by_token()
        present = {table.value(row, "channel"): table.value(row, "modality") for row in sensors.values()}
        found = [channel for channel, modality in present.items() if modality == "camera"]
        choose_names([lidar, *(cameras or ())], present, source=table.path, field="channel")
        rank = {name: place for place, name in enumerate(_CAMERAS)}
        self.cameras = (
            list(cameras) if cameras is not None else sorted(found, key=lambda c: (rank.get(c, 9), c))
        )
        mounted = Table(self._folder, "calibrated_sensor")
        channel_of = {}
        self.sensors = {}
        for row in mounted:
            token = mounted.value(row, "token")
            channel_of[token] = mounted.follow(row, "sensor_token", sensors, "sensor")["channel"]
            if channel_of[token] == lidar or channel_of[token] in self.cameras:
                K = mounted.intrinsics(row) if channel_of[token] in self.cameras else None
                self.sensors[token] = Sensor(mounted.pose(row), K)
        return channel_of

    def _read_samples(self, wanted: Sequence[str] | None) -> dict[str, tuple[str, int]]:
        """Sample token → scene and timestamp, scene by scene, along ``next``."""
        scene_table, sample_table = Table(self._folder, "scene"), Table(self._folder, "sample")
        samples = sample_table.by_token()
        scenes = {scene_table.value(row, "name"): row for row in scene_table}
        wanted = choose_names(wanted, scenes, source=scene_table.path, field="scenes")
        order: dict[str, tuple[str, int]] = {}
        for name in wanted:
            row = scene_table.follow(scenes[name], "first_sample_token", samples, "sample")
            before = -1
            while True:
                token, timestamp = row["token"], sample_table.value(row, "timestamp", int)
                if token in order or timestamp <= before:
                    raise sample_table.error(
                        f"comes twice along 'next' in {name}"
                        if token in order
                        else f"is {timestamp}, not after {before} of the sample before it",
                        f"{token}.timestamp",
                    )
                if not _SAFE.fullmatch(token):
                    raise sample_table.error("holds more than letters, digits, - and _", f"{token}.token")
                order[token], before = (name, timestamp), timestamp
                if not sample_table.value(row, "next"):
                    break
                row = sample_table.follow(row, "next", samples, "sample")
        return order

    def _read_recordings(
        self, samples: Container[str], channel_of: dict[str, str], lidar: str, all_sweeps: bool
    ) -> tuple[dict[tuple[str, str], Recording], dict[str, Recording], dict[str, tuple[int, str]]]:
        """Keyframe recordings by sample and channel; with ``all_sweeps`` those of the LiDAR by token; the ego poses
        they need, as token → (place, token of the recording that asks for it)."""
        table = Table(self._folder, "sample_data")
        of_sample: dict[tuple[str, str], Recording] = {}
        chain: dict[str, Recording] = {}
        egos: dict[str, tuple[int, str]] = {}
        wanted = {lidar, *self.cameras}
        shared = {token: token for token in channel_of}  # one string per sensor instead of one per recording
        for row in table:
            channel = table.follow(row, "calibrated_sensor_token", channel_of, "calibrated_sensor")
            key = table.value(row, "is_key_frame", bool)
            sample = table.value(row, "sample_token")
            if (
                channel not in wanted
                or sample not in samples
                or not (key or (all_sweeps and channel == lidar))
            ):
                continue
            token, ego = table.value(row, "token"), table.value(row, "ego_pose_token")
            place, _ = egos.setdefault(ego, (len(egos), token))
            recording = Recording(
                _inside(table, row),
                table.value(row, "timestamp", int),
                table.number(row, "width", 0),
                table.number(row, "height", 0),
                shared[row["calibrated_sensor_token"]],
                place,
                table.value(row, "prev") if channel == lidar else "",
            )
            if channel == lidar and all_sweeps:
                chain[token] = recording
            if key:
                of_sample[sample, channel] = recording
        return of_sample, chain, egos

    def _read_egos(self, wanted: dict[str, tuple[int, str]]) -> NDArray[np.float64]:
        table = Table(self._folder, "ego_pose")
        egos = np.full((len(wanted), 4, 4), np.nan)
        for row in table:
            if (token := table.value(row, "token")) in wanted:
                egos[wanted[token][0]] = table.pose(row)
        for token, (place, asking) in wanted.items():
            if np.isnan(egos[place, 0, 0]):
                table = Table(self._folder, "sample_data")
                raise table.dangling({"token": asking}, "ego_pose_token", token, "ego_pose")
        return egos

    def _earlier(
        self, newest: Recording | None, chain: dict[str, Recording], count: int
    ) -> tuple[Recording, ...]:
        """Up to ``count`` recordings before ``newest``; a scene begins with none."""
        earlier: list[Recording] = []
        last = newest
        while last is not None and last.previous and len(earlier) < count:
            table = Table(self._folder, "sample_data")
            if last.previous not in chain:
                raise table.error(f"{last.previous!r} is not in sample_data.json", f"{last.filename}.prev")
            before = chain[last.previous]
            if before.timestamp >= last.timestamp:
                raise table.error(
                    f"is {before.timestamp}, not before {last.timestamp} of the sweep after it",
                    f"{last.previous}.timestamp",
                )
            earlier.append(before)
            last = before
        return tuple(earlier)


def _inside(table: Table, row: Row) -> str:
    """The file name, which must stay below the dataset's root."""
    name: str = table.value(row, "filename")
    if not stays_inside(name):
        raise table.error(f"{name!r} leaves the dataset", f"{row.get('token')}.filename")
    return name
