import numpy as np
import pytest

from clip2.recognition.fusion import fuse_frames
from data_prep import Frame, InputError


def frame(id, points, T, color=None):
    points = np.asarray(points, dtype=np.float32)
    colors = None if color is None else np.tile(np.uint8(color), (len(points), 1))
    return Frame(id=id, points=points, T_world_points=T, colors=colors)


def moved(*translation):
    T = np.eye(4)
    T[:3, 3] = translation
    return T


def test_frames_meet_in_the_world():
    a = frame("a", [[0.011, 0.011, 0.011]], moved(5, 0, 0), [10, 20, 30])
    b = frame("b", [[1.013, 0.013, 0.013]], moved(4, 0, 0), [30, 40, 50])
    fused = fuse_frames([a, b], size=0.02)
    assert fused.world_points() == pytest.approx(np.array([[5.012, 0.012, 0.012]]), abs=1e-6)
    assert fused.colors.tolist() == [[20, 30, 40]]
    assert fused.id == "a-b"


def test_survey_coordinates_keep_their_millimeters():
    far = moved(4.5e5, 5.4e6, 100)
    fused = fuse_frames([frame("a", [[0.0012, 0, 0], [0.5, 0, 0]], far)], size=0.01)
    assert np.ptp(fused.world_points()[:, 0]) == pytest.approx(0.4988, abs=1e-6)


def test_one_frame_without_color_leaves_the_cloud_without():
    fused = fuse_frames([frame("a", [[0, 0, 0]], np.eye(4), [1, 2, 3]), frame("b", [[1, 0, 0]], np.eye(4))])
    assert fused.colors is None
    assert len(fused.points) == 2


def test_no_frames_is_an_error():
    with pytest.raises(InputError, match="no frames"):
        fuse_frames([])


@pytest.mark.parametrize("size", [0.0, -0.02, float("inf"), float("nan")])
def test_a_voxel_has_a_size(size):
    one = frame("a", [[0, 0, 0]], np.eye(4))
    with pytest.raises(InputError, match="voxel size: is"):
        fuse_frames([one], size)


@pytest.mark.parametrize("size", [1e-3, 1e-300])
def test_frames_too_far_apart_for_their_voxels_are_refused(size):
    near, far = frame("a", [[0, 0, 0], [1, 1, 1]], np.eye(4)), frame("b", [[0, 0, 0]], moved(1e9, 1e9, 1e9))
    with pytest.raises(InputError, match="too far"):
        fuse_frames([near, far], size)


def test_frames_without_poses_are_said():
    still = [frame(name, [[x, 0, 0]], np.eye(4)) for name, x in (("a", 0), ("b", 1))]
    assert "all 2 frames have the same pose" in fuse_frames(still).notes[-1]
    assert fuse_frames([still[0], frame("b", [[1, 0, 0]], moved(1, 0, 0))]).notes == ()
    assert fuse_frames(still[:1]).notes == ()
