"""Thinning: frames that show nothing new."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_prep.associate import thin_frames
from data_prep.config import parse_config
from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, rigid
from data_prep.scans import Frame, Scan, View
from data_prep.triplets import MiningConfig

POINTS = np.random.default_rng(0).uniform(-5, 5, (400, 3)).astype(np.float32)


@dataclass
class Frames(Scan):
    """A scan of frames made by hand; None is a bad one."""

    frames: list[Frame | None]
    source: str = "by-hand"
    root: Path = Path("/nowhere")

    def __getitem__(self, index: int) -> Frame:
        frame = self.frames[index]
        if frame is None:
            raise BadFrameError("is cut short", source=str(index))
        return frame

    def frame_ids(self) -> list[str]:
        return [str(index) for index in range(len(self.frames))]


def posed(x: float, degrees: float = 0.0) -> Frame:
    angle = np.deg2rad(degrees)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    return Frame("f", POINTS, rigid(turn, [x, 0, 0]))


def picture(image: np.ndarray) -> Frame:
    camera = Camera([[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]], 64, 48, np.eye(4))
    return Frame("f", POINTS, views=(View("v", camera, image.astype(np.uint8)),))


def test_poses_decide_by_way_and_by_turn() -> None:
    # Kept 0; 5 cm and 15 cm are near it; 25 cm is not, and what follows is compared with that; a turn of 10 degrees is new.
    scan = Frames([posed(x) for x in (0.0, 0.05, 0.15, 0.25, 0.4, 0.46)] + [posed(0.5, 10)])
    kept, reasons = thin_frames(scan, range(7))
    assert kept == [0, 3, 5, 6]
    assert reasons == {"thinned-same-pose": 3}


def test_only_the_frames_that_were_chosen_are_looked_at() -> None:
    scan = Frames([posed(0.15 * i) for i in range(8)])
    assert thin_frames(scan, [1, 3, 5, 7]) == ([1, 3, 5, 7], {})


def test_without_poses_the_picture_decides() -> None:
    base = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    grain = np.random.default_rng(2).normal(0, 3, base.shape)
    brighter = np.clip(base * 0.9 + 20, 0, 255)
    other = base[::-1]
    part = base.copy()
    part[:24, :24] = 255 - part[:24, :24]  # 19 % of the picture
    scan = Frames(
        [picture(image) for image in (base, np.clip(base + grain, 0, 255), brighter, other, base, part)]
    )
    kept, reasons = thin_frames(scan, range(6))
    assert kept == [0, 3, 4, 5]
    assert reasons == {"thinned-same-sight": 2}


def test_without_pictures_the_cloud_decides() -> None:
    moved = Frame("f", POINTS + np.float32(4))
    shaken = Frame("f", POINTS)
    kept, reasons = thin_frames(Frames([Frame("f", POINTS), shaken, moved]), range(3))
    assert kept == [0, 2]
    assert reasons == {"thinned-same-sight": 1}


def test_bad_frames_are_left_for_mining_to_name() -> None:
    assert thin_frames(Frames([posed(0), None, posed(0.05), posed(1)]), range(4)) == (
        [0, 1, 3],
        {"thinned-same-pose": 1},
    )


@pytest.mark.parametrize("name", ["move", "turn", "change"])
def test_impossible_settings_are_named(name: str) -> None:
    with pytest.raises(InputError, match=f"thin.{name}: -1.0 is not possible"):
        parse_config(MiningConfig, {"thin": {name: -1.0}}, source="mining")
