"""Messages to arrays and back, through real CDR bytes."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from support.ros_stand_ins import STAMP, two_objects

from clip2.ros import instances_from_ros, markers, typestore, vision_info
from clip2.ros.definitions import cdr, message
from clip2.ros.sensors import (
    camera_info,
    compressed_image,
    header,
    image,
    matrix,
    pointcloud2,
    stamp_of,
    transform,
)  # fmt: skip
from data_prep import InputError
from data_prep.geometry import Camera, Distortion, rigid
from data_prep.scans.rosbag.cameras import lens_from_info
from data_prep.scans.rosbag.images import decode_depth, decode_image
from data_prep.scans.rosbag.pointcloud2 import read_pointcloud2

ARRAY = "vision_msgs/msg/Detection3DArray"


def through_bytes(type_name: str, fields: dict):
    return typestore().deserialize_cdr(cdr(type_name, fields), type_name)


def test_objects_come_back_from_the_bytes_of_a_detection_array():
    objects = two_objects()
    back = instances_from_ros(through_bytes(ARRAY, objects.to_ros("map", STAMP)))
    assert back.labels == objects.labels
    assert back.track_ids.tolist() == [12, 7]
    assert np.allclose(back.boxes, objects.boxes)
    assert np.allclose(back.rotations, objects.rotations)
    assert np.allclose(back.scores, objects.scores)
    assert back.frame_id == "map"


def test_a_stamp_keeps_every_nanosecond():
    sent = through_bytes(ARRAY, two_objects().to_ros("map", STAMP))
    assert stamp_of(sent) == STAMP
    assert (sent.detections[0].header.stamp.sec, sent.detections[0].header.stamp.nanosec) == (
        1_700_000_000,
        123_456_789,
    )


def test_boxes_follow_their_frame_there_and_back():
    objects = two_objects()
    T = rigid(Rotation.from_euler("xyz", [0.2, -1.0, 2.0]).as_matrix(), np.array([3.0, -1, 2]))
    sent = objects.to_ros("lidar", STAMP, T)
    assert np.allclose(
        list(sent["detections"][0]["bbox"]["center"]["position"].values()), T[:3, :3] @ [1, 2, 0.5] + T[:3, 3]
    )
    back = instances_from_ros(through_bytes(ARRAY, sent), np.linalg.inv(T))
    assert np.allclose(back.boxes, objects.boxes)
    assert np.allclose(back.rotations, objects.rotations)


def test_an_empty_array_is_no_objects():
    back = instances_from_ros(through_bytes(ARRAY, {"header": header(STAMP, "map")}))
    assert len(back) == 0
    assert back.boxes.shape == (0, 7)


def detection(**changes) -> dict:
    center = {"position": {"x": 1.0}, "orientation": {"w": 1.0}}
    size = {"x": 1.0, "y": 1.0, "z": 1.0}
    return {"bbox": {"center": center, "size": size}, "id": "3", **changes}


def test_of_several_hypotheses_the_likeliest_counts_and_names_are_no_tracks():
    results = [
        {"hypothesis": {"class_id": name, "score": score}} for name, score in [("cup", 0.2), ("mug", 0.7)]
    ]
    sent = {"detections": [detection(results=results), detection(id="cup-1")]}
    back = instances_from_ros(through_bytes(ARRAY, sent))
    assert back.labels == ("mug", "unknown")
    assert back.scores.tolist() == pytest.approx([0.7, 0])
    assert back.track_ids is None


@pytest.mark.parametrize(
    ("bbox", "told"),
    [
        ({"center": {"orientation": {"w": 1.0}}, "size": {"x": 1.0, "y": -1.0, "z": 1.0}}, r"detections\[0\].bbox"),
        ({"center": {"orientation": {"w": 1.0}, "position": {"x": np.nan}}, "size": {"x": 1.0, "y": 1.0, "z": 1.0}}, "no finite box"),
        ({"center": {}, "size": {"x": 1.0, "y": 1.0, "z": 1.0}}, "is no rotation. Fix: set w to 1"),
    ],
)  # fmt: skip
def test_a_box_that_is_none_is_one_line(bbox, told):
    with pytest.raises(InputError, match=told):
        instances_from_ros(through_bytes(ARRAY, {"detections": [detection(bbox=bbox)]}), where="/boxes")


def test_a_message_of_another_type_is_one_line():
    with pytest.raises(InputError, match=r"/boxes.*Fix: give vision_msgs/msg/Detection3DArray"):
        instances_from_ros(message("std_msgs/msg/String", {"data": "chair"}), where="/boxes")


def test_markers_show_a_box_and_a_label_each_and_remove_those_of_before():
    objects = two_objects()
    sent = through_bytes("visualization_msgs/msg/MarkerArray", markers(objects, objects.to_ros("map", STAMP)))
    assert sent.markers[0].action == sent.markers[0].DELETEALL
    kinds = [(one.ns, one.type, one.id, one.text) for one in sent.markers[1:]]
    assert kinds == [
        ("boxes", 1, 12, ""),
        ("labels", 9, 12, "red chair 0.75"),
        ("boxes", 1, 7, ""),
        ("labels", 9, 7, "unknown"),
    ]
    assert sent.markers[1].scale.x == 2
    assert sent.markers[2].pose.position.z > 1  # above the box
    later = replace(
        objects, track_ids=np.array([7, 12]), labels=objects.labels[::-1], scores=objects.scores[::-1]
    )
    colors = markers(later, later.to_ros("map", STAMP))["markers"]
    assert colors[3]["color"]["r"] == pytest.approx(
        sent.markers[1].color.r, abs=1e-6
    )  # by track, not by place in the list


def test_vision_info_names_the_model_and_changes_with_the_labels():
    info = through_bytes(
        "vision_msgs/msg/VisionInfo", vision_info("ViT-B-32/openai", ["mug", "chair"], header(STAMP, "map"))
    )
    assert (info.method, info.database_location) == ("clip2 ViT-B-32/openai", "mug, chair")
    assert info.database_version != vision_info("ViT-B-32/openai", ["mug"], {})["database_version"]


def test_a_cloud_comes_back_with_its_colors_and_intensity():
    draw = np.random.default_rng(0)
    points = draw.normal(size=(200, 3)).astype(np.float32)
    colors = draw.integers(0, 256, (200, 3)).astype(np.uint8)
    intensity = draw.random(200).astype(np.float32)
    sent = through_bytes("sensor_msgs/msg/PointCloud2", pointcloud2(points, colors, intensity, stamp=STAMP))
    found, tints, strength = read_pointcloud2(sent, "cloud")
    assert np.array_equal(found.astype(np.float32), points)
    assert np.array_equal(tints, colors)
    assert np.allclose(strength, intensity)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("height", [1, 4])
def test_a_cloud_of_any_field_order_padding_and_byte_order_is_read(order, height):
    from support.bag_twins import BagMaker

    table = np.zeros(
        8,
        [
            ("intensity", f"{order}u2"),
            ("z", f"{order}f8"),
            ("x", f"{order}f4"),
            ("ring", "u1"),
            ("y", f"{order}f4"),
        ],
    )
    for axis in "xyz":
        table[axis] = np.arange(8) + ord(axis)
    maker = BagMaker("mcap")
    raw = maker.store.serialize_cdr(
        maker.cloud(table, STAMP, height=height, padding=5), "sensor_msgs/msg/PointCloud2"
    )
    points, _, _ = read_pointcloud2(typestore().deserialize_cdr(raw, "sensor_msgs/msg/PointCloud2"), "cloud")
    assert np.array_equal(points, np.stack([np.arange(8) + ord(axis) for axis in "xyz"], axis=1))


def test_images_come_back():
    draw = np.random.default_rng(0)
    color = draw.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    depth = draw.random((4, 6)).astype(np.float32) + 1
    read = {
        kind: through_bytes("sensor_msgs/msg/Image", image(pixels, stamp=STAMP))
        for kind, pixels in {"color": color, "gray": color[..., 0], "depth": depth, "mm": np.full((4, 6), 1500, np.uint16)}.items()
    }  # fmt: skip
    assert np.array_equal(decode_image(read["color"], "image"), color)
    assert np.array_equal(decode_image(read["gray"], "image")[..., 1], color[..., 0])
    assert np.array_equal(decode_depth(read["depth"], "image"), depth)
    assert np.allclose(decode_depth(read["mm"], "image"), 1.5)
    file = io.BytesIO()
    Image.fromarray(color).save(file, "PNG")
    packed = through_bytes("sensor_msgs/msg/CompressedImage", compressed_image(file.getvalue(), "png"))
    assert np.array_equal(decode_image(packed, "image"), color)
    with pytest.raises(InputError, match="pixels: is float64"):
        image(np.zeros((4, 6)))


@pytest.mark.parametrize(
    "lens",
    [
        Distortion(),
        Distortion("radtan", (0.1, -0.02, 1e-3, 2e-3)),
        Distortion("fisheye", (0.1, 0.01, 0.0, 0.0)),
    ],
)
def test_a_camera_comes_back(lens):
    K = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
    sent = through_bytes("sensor_msgs/msg/CameraInfo", camera_info(Camera(K, 640, 480, np.eye(4), lens)))
    found = lens_from_info(sent, "info", rectified=False)
    assert np.array_equal(found.K, K)
    assert (found.width, found.height, found.distortion.model) == (640, 480, lens.model)
    assert found.distortion.coefficients[: len(lens.coefficients)] == lens.coefficients


def test_a_transform_comes_back_and_one_without_rotation_is_one_line():
    T = rigid(Rotation.from_euler("xyz", [0.2, -1.0, 2.0]).as_matrix(), np.array([3.0, -1, 2]))
    sent = through_bytes("geometry_msgs/msg/TransformStamped", transform(T, "map", "lidar", STAMP))
    assert np.allclose(matrix(sent), T)
    sent.transform.rotation = SimpleNamespace(x=0, y=0, z=0, w=0)
    with pytest.raises(InputError, match=r"map > lidar.*is not a rotation"):
        matrix(sent)
