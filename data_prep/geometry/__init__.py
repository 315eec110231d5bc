"""Cameras, rigid transforms, boxes. Meters, right-handed, world z-up, OpenCV cameras."""

from data_prep.geometry.boxes import OrientedBox, box_to_image
from data_prep.geometry.boxes2d import box_iou_2d
from data_prep.geometry.camera import Camera
from data_prep.geometry.distortion import Distortion
from data_prep.geometry.transforms import (
    invert,
    quaternion_to_rotation,
    rigid,
    rotation_between,
    transform_points,
    validate_rigid,
)

__all__ = [
    "Camera",
    "Distortion",
    "OrientedBox",
    "box_iou_2d",
    "box_to_image",
    "invert",
    "quaternion_to_rotation",
    "rigid",
    "rotation_between",
    "transform_points",
    "validate_rigid",
]
