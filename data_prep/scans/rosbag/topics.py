"""Topic selection: points, depth and images that make the frames of a bag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.errors import BadDatasetError
from data_prep.scans.rosbag.bag import Bag
from data_prep.scans.rosbag.cameras import base_topic, camera_info_topic
from data_prep.scans.rosbag.images import image_kind

POINTS = "sensor_msgs/msg/PointCloud2"
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")


@dataclass(frozen=True)
class Topics:
    """Selected topics.

    Attributes:
        points: PointCloud2 topic, or None.
        depth: depth image topic, or None; exactly one of points and depth is set.
        images: color images, exactly one with depth.
        infos: image topic (color or depth) → its CameraInfo topic, where the bag has one.
    """

    points: str | None
    depth: str | None
    images: tuple[str, ...]
    infos: dict[str, str]


def choose_topics(
    bag: Bag,
    points: str | None,
    images: Sequence[str] | None,
    depth: str | None,
    calibrated: Sequence[str] = (),
) -> Topics:
    """Select the topics asked for, else the only candidates.

    Args:
        bag: the bag.
        points, images, depth: asked for; None = find it.
        calibrated: image topics whose intrinsics are known without CameraInfo.

    Raises:
        BadDatasetError: a topic is not there or of another type, or several would do.
    """
    if points is not None and depth is not None:
        raise BadDatasetError(
            "are both stated", source=bag.root, field="points and depth", fix="state one: it makes the frames"
        )
    for name, topic in (("points", points), ("depth", depth), *(("images", topic) for topic in images or ())):
        _require(bag, topic, (POINTS,) if name == "points" else IMAGES, name)
    infos = {
        topic: info
        for topic in _of(bag, IMAGES)
        if bag.topics.get(info := camera_info_topic(topic)) == CAMERA_INFO
    }
    kinds = _kinds(bag, sorted({*infos, *calibrated, *(images or ()), depth or ""} & set(_of(bag, IMAGES))))
    if points is None and depth is None:
        clouds, depths = (
            _of(bag, (POINTS,)),
            _one_transport([t for t, kind in kinds.items() if kind == "depth"]),
        )
        found = [*clouds, *depths]
        if not found:
            raise BadDatasetError(
                f"has neither PointCloud2 nor depth images with CameraInfo, but {_listing(bag)}",
                source=bag.root,
                field="topics",
                fix="record the sensor's PointCloud2, or depth with its camera_info",
            )
        if len(found) > 1:
            options = " or ".join(f"{'points' if t in clouds else 'depth'}={t}" for t in found)
            raise BadDatasetError(
                f"has {len(found)} topics that could make its frames",
                source=bag.root,
                field="topics",
                fix=f"choose {options} (clip2: --option …)",
            )
        points, depth = (found[0], None) if clouds else (None, found[0])
    if depth is not None and kinds.get(depth) != "depth":
        raise BadDatasetError(
            f"{depth!r} is no depth image",
            source=bag.root,
            field="depth",
            fix="choose a topic with 16UC1 (millimeters) or 32FC1 (meters)",
        )
    chosen = tuple(images) if images is not None else _color_topics(bag, kinds, infos, one=depth is not None)
    if depth is not None and len(chosen) != 1:
        raise BadDatasetError(
            f"names {len(chosen)} color images for the depth {depth}",
            source=bag.root,
            field="images",
            fix="choose one"
            if chosen
            else "record the color images with their camera_info, or state images=",
        )
    wanted = {topic: infos[topic] for topic in (*chosen, depth) if topic in infos}
    return Topics(points, depth, chosen, wanted)


def _color_topics(bag: Bag, kinds: dict[str, str], infos: dict[str, str], one: bool) -> tuple[str, ...]:
    colors = [topic for topic, kind in kinds.items() if kind == "color"]
    # Infrared and other gray images are views too, but never the colors of a depth camera that has some.
    colors += [topic for topic, kind in kinds.items() if kind == "gray" and not (one and colors)]
    colors = _one_transport(sorted(colors))
    sharing = defaultdict(list)
    for topic in colors:
        sharing[infos.get(topic, topic)].append(topic)
    several = next(
        (topics for topics in sharing.values() if len(topics) > 1),
        colors if one and len(colors) > 1 else None,
    )
    if several:
        raise BadDatasetError(
            f"could be {' or '.join(several)}",
            source=bag.root,
            field="images",
            fix=f"choose, for example images={several[0]} (clip2: --option images={several[0]})",
        )
    return tuple(colors)


def _one_transport(topics: list[str]) -> list[str]:
    """Of an image recorded raw and compressed, the raw one."""
    best: dict[str, str] = {}
    for topic in sorted(topics, key=len):
        best.setdefault(base_topic(topic), topic)
    return sorted(best.values())


def _kinds(bag: Bag, topics: list[str]) -> dict[str, str]:
    kinds = {}
    for topic in topics:
        message = bag.first(topic)
        if message is not None:
            kinds[topic] = image_kind(message)
    return kinds


def _of(bag: Bag, types: Sequence[str]) -> list[str]:
    return sorted(topic for topic, type in bag.topics.items() if type in types)


def _require(bag: Bag, topic: str | None, types: tuple[str, ...], option: str) -> None:
    if topic is None:
        return
    if topic not in bag.topics:
        there = ", ".join(_of(bag, types)) or "none of that type"
        raise BadDatasetError(
            f"{topic!r} is not in the bag", source=bag.root, field=option, fix=f"choose among {there}"
        )
    if bag.topics[topic] not in types:
        raise BadDatasetError(
            f"{topic!r} is {bag.topics[topic]}",
            source=bag.root,
            field=option,
            fix=f"choose a {' or '.join(types)}",
        )


def _listing(bag: Bag) -> str:
    shown = [f"{topic} ({type.rpartition('/')[2]})" for topic, type in sorted(bag.topics.items())]
    return (
        ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
        if shown
        else "no topic"
    )
