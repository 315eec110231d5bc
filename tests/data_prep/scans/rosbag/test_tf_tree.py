"""tf: interpolation by hand-worked numbers, gaps, trees that are broken, clocks that jump."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import BadDatasetError, BadFrameError
from data_prep.scans.rosbag.stream import Stream
from data_prep.scans.rosbag.tf_tree import TfTree

S = 10**9
QUARTER = (np.sqrt(0.5), 0, 0, np.sqrt(0.5))  # a quarter turn about z, w x y z


def transforms(parent: str, child: str, at: float, xyz: tuple, wxyz: tuple = (1, 0, 0, 0)) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=int(at), nanosec=round(at % 1 * S))
    w, x, y, z = wxyz
    item = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=xyz[0], y=xyz[1], z=xyz[2]),
            rotation=SimpleNamespace(x=x, y=y, z=z, w=w),
        ),
    )
    return SimpleNamespace(transforms=[item])


def tree(*samples: tuple, static: tuple = (), gap: float = 0.1, wanted: tuple = ("lidar", "cam")) -> TfTree:
    """``samples`` are (parent, child, time, xyz[, wxyz]), recorded when they are stamped."""
    made = TfTree(Path("drive.bag"), round(gap * S))
    for sample in samples:
        made.add(transforms(*sample), round(sample[2] * S), static=False)
    for parent, child, *rest in static:
        made.add(transforms(parent, child, 0, *rest), 0, static=True)
    made.finish(wanted)
    return made


def at(made: TfTree, target: str, source: str, seconds: float) -> np.ndarray:
    return made.lookup(target, source, round(seconds * S), round(seconds * S))


def test_halfway_between_two_samples() -> None:
    made = tree(("map", "lidar", 10.0, (0, 0, 0)), ("map", "lidar", 10.1, (2, 0, 4), QUARTER))
    T = at(made, "map", "lidar", 10.05)
    np.testing.assert_allclose(T[:3, 3], [1, 0, 2])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(T[:3, :3], [[half, -half, 0], [half, half, 0], [0, 0, 1]], atol=1e-12)


def test_the_short_way_round_although_signs_differ() -> None:
    minus = tuple(-q for q in QUARTER)
    made = tree(("map", "lidar", 10.0, (0, 0, 0)), ("map", "lidar", 10.1, (0, 0, 0), minus))
    angle = np.degrees(np.arctan2(*at(made, "map", "lidar", 10.02)[1::-1, 0]))
    assert angle == pytest.approx(18)


def test_chains_go_up_and_down_and_shared_links_cancel() -> None:
    made = tree(
        ("map", "base", 10.0, (100, 0, 0)),
        static=(("base", "lidar", (0, 0, 2)), ("base", "mast", (1, 0, 0)), ("mast", "cam", (0, 0.5, 1))),
    )
    np.testing.assert_allclose(at(made, "map", "cam", 10)[:3, 3], [101, 0.5, 1])
    # No sample of map > base is near 99 s, and none is needed between two frames below base.
    np.testing.assert_allclose(at(made, "lidar", "cam", 99)[:3, 3], [1, 0.5, -1])
    assert made.root("cam") == "map"


def test_slashes_of_ros_1_do_not_matter() -> None:
    made = tree(("/map", "/lidar", 10.0, (1, 2, 3)))
    np.testing.assert_allclose(at(made, "map", "lidar", 10)[:3, 3], [1, 2, 3])


def test_held_within_the_gap_and_never_beyond() -> None:
    made = tree(("map", "lidar", 10.0, (0, 0, 0)), ("map", "lidar", 10.1, (1, 0, 0)))
    np.testing.assert_allclose(at(made, "map", "lidar", 10.19)[:3, 3], [1, 0, 0])
    np.testing.assert_allclose(at(made, "map", "lidar", 9.91)[:3, 3], [0, 0, 0])
    with pytest.raises(
        BadFrameError, match=r"map > lidar has no sample within 0\.1 s of 10\.250.*0\.150 s away"
    ):
        at(made, "map", "lidar", 10.25)


def test_a_hole_between_samples_is_not_bridged() -> None:
    made = tree(("map", "lidar", 10.0, (0, 0, 0)), ("map", "lidar", 12.0, (1, 0, 0)))
    with pytest.raises(BadFrameError, match=r"drive\.bag: tf: map > lidar"):
        at(made, "map", "lidar", 11)


def test_static_transforms_hold_always_and_the_last_one_counts() -> None:
    made = tree(static=(("map", "lidar", (1, 0, 0)), ("map", "lidar", (2, 0, 0))))
    np.testing.assert_allclose(at(made, "map", "lidar", 1e6)[:3, 3], [2, 0, 0])


def test_frames_that_nothing_connects_are_named_with_the_tree_that_is_there() -> None:
    made = tree(
        ("odom", "base", 1.0, (0, 0, 0)), static=(("base", "lidar", (0, 0, 0)), ("base", "imu", (0, 0, 0)), ("rig", "cam", (0, 0, 0))),
        wanted=("lidar", "imu", "cam"),
    )  # fmt: skip
    with pytest.raises(BadDatasetError) as caught:
        at(made, "odom", "cam", 1)
    assert "does not connect 'cam' with 'odom'; the tree is: odom > base > (imu, lidar), rig > cam" in str(
        caught.value
    )


def test_two_parents_and_circles() -> None:
    with pytest.raises(BadDatasetError, match="gives 'lidar' two parents, 'a' and 'b'"):
        tree(("a", "lidar", 1.0, (0, 0, 0)), ("b", "lidar", 1.0, (0, 0, 0)))
    with pytest.raises(BadDatasetError, match="runs in a circle at 'lidar'"):
        tree(("a", "lidar", 1.0, (0, 0, 0)), ("lidar", "a", 1.0, (0, 0, 0)))


@pytest.mark.parametrize("wxyz", [(0, 0, 0, 0), (np.nan, 0, 0, 0)])
def test_a_rotation_that_is_none(wxyz: tuple) -> None:
    made = tree(("map", "lidar", 1.0, (0, 0, 0), wxyz))
    with pytest.raises(BadFrameError, match="map > lidar is not a rotation"):
        at(made, "map", "lidar", 1)


def test_after_a_clock_jump_each_moment_finds_its_own_time() -> None:
    # Stamps 5.0 to 5.2 are recorded twice: at 5 s, and again at 105 s after the clock was set back.
    made = TfTree(Path("drive.bag"), S // 10)
    for recorded, x in ((5.0, 1), (105.0, 7)):
        for k in range(3):
            made.add(transforms("map", "lidar", 5 + k / 10, (x, 0, 0)), round((recorded + k / 10) * S), False)
    made.finish(["lidar"])
    for recorded, x in ((5.1, 1), (105.1, 7)):
        T = made.lookup("map", "lidar", round(5.1 * S), round(recorded * S))
        assert T[0, 3] == x
    assert made.jumps == [round(0.2 * S)]


def test_late_messages_are_sorted_and_jumps_are_counted() -> None:
    stream = Stream([0, 20, 10, 30, 30, 5, 15], [0, 1, 2, 3, 4, 50, 51], max_gap=12)
    assert stream.jumps == [25]
    assert stream.repeated == 1
    assert stream.stamps.tolist() == [0, 10, 20, 30, 5, 15]
    assert stream.order.tolist() == [0, 2, 1, 3, 5, 6]
    assert stream.nearest(11, bag_time=2) == 1
    assert stream.nearest(11, bag_time=50) == 5
    assert stream.nearest(43, bag_time=2) is None


@settings(max_examples=60, deadline=None)
@given(stamps=st.lists(st.integers(0, 1000), min_size=1, max_size=30), moment=st.integers(-100, 1100))
def test_nearest_is_the_nearest_of_a_clock_that_never_jumps(stamps: list[int], moment: int) -> None:
    stream = Stream(stamps, range(len(stamps)), max_gap=2000)
    k = stream.nearest(moment, 0)
    assert k is not None
    assert abs(int(stream.stamps[k]) - moment) == min(abs(stamp - moment) for stamp in stamps)
    low, high = stream.bracket(moment, 0) or (0, 0)
    if min(stamps) <= moment <= max(stamps):
        assert stream.stamps[low] <= moment <= stream.stamps[high]
