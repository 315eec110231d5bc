"""Checks of what the frames hold: depth in meters, images, cameras, time stamps, duplicates, labels."""

from __future__ import annotations

import numpy as np

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.errors import InputError
from data_prep.scans import Scan

_FAR, _NEAR = 20.0, 0.05  # m, limits of depth cameras
_CONSTANT = 2.0  # standard deviation in gray levels; images at night have more
_JUMP = 5.0  # times the usual step


def check_depth(sample: Sample) -> list[Finding]:
    """Median depth, and shares too far and too near for a depth camera; no finding for LiDAR."""
    depths = [frame.depth[frame.depth > 0] for frame in sample.frames.values() if frame.depth is not None]
    if not depths:
        return []
    sizes = [frame.depth.size for frame in sample.frames.values() if frame.depth is not None]
    depth = np.concatenate(depths)
    median, far, near = float(np.median(depth)), float((depth > _FAR).mean()), float((depth < _NEAR).mean())
    measured = len(depth) / sum(sizes)
    values = {"median (m)": median, "beyond 20 m": far, "below 5 cm": near, "measured": measured}
    told = f"median {median:.3g} m, {far:.0%} beyond 20 m, {near:.0%} below 5 cm, {measured:.0%} of pixels measured"
    if median > 5 * _FAR:
        guess = "millimeters taken for meters" if 200 < median < 20_000 else "units taken for meters"
        return [Finding("depth", "error", f"depth is too large: {told}; it looks like {guess}", values,
                        "give the depth units per meter: depth_scale 1000 for millimeters, 5000 for TUM")]  # fmt: skip
    if median < _NEAR:
        return [Finding("depth", "error", f"depth is too small: {told}; its scale is taken for too large", values,
                        "give the depth units per meter: depth_scale 1 if the file holds meters already")]  # fmt: skip
    if far > 0.2 or near > 0.05:
        return [Finding("depth", "warning", f"depth reaches where depth cameras do not measure: {told}", values,
                        "check depth_scale; state max_depth if the far values are noise")]  # fmt: skip
    if measured < 0.1:
        return [Finding("depth", "warning", f"hardly any depth: {told}", values, "check the depth files")]
    return [Finding("depth", "ok", told, values)]


def check_images(sample: Sample) -> list[Finding]:
    """Images without content; no finding if there are no images."""
    empty = {
        view.name: float(view.image[::4, ::4].mean())
        for frame in sample.frames.values()
        for view in frame.views
        if view.image[::4, ::4].std() < _CONSTANT
    }
    total = sum(len(frame.views) for frame in sample.frames.values())
    if not total:
        return []
    values = {"images": total, "without content": len(empty)}
    if not empty:
        return [Finding("images", "ok", f"all {total} images show something", values)]
    name, level = next(iter(empty.items()))
    kind = "black" if level < 5 else "white" if level > 250 else "of one color"
    return [Finding("images", "error" if len(empty) == total else "warning",
                    f"{len(empty)} of {total} images show nothing, like {name} ({kind})", values,
                    "export the images again, or leave these frames out")]  # fmt: skip


def check_duplicates(sample: Sample) -> list[Finding]:
    """Frames whose points and images are equal bit for bit."""
    if len(sample.notes) < 2:
        return []
    seen: dict[bytes, str] = {}
    twice = []
    for note in (sample.notes[index] for index in sorted(sample.notes)):
        if note.digest in seen:
            twice.append((seen[note.digest], note.id))
        seen.setdefault(note.digest, note.id)
    values = {"frames": len(sample.notes), "repeated": len(twice)}
    if not twice:
        return [Finding("duplicates", "ok", f"{len(sample.notes)} frames, no two the same", values)]
    return [Finding("duplicates", "warning", f"{len(twice)} of {len(sample.notes)} frames repeat another, like "
                    f"{twice[0][1]} = {twice[0][0]}", values, "the recorder froze or files were copied: leave "
                    "them out, they count the same objects twice")]  # fmt: skip


def check_cameras(sample: Sample) -> list[Finding]:
    """Implausible intrinsics: principal point off center, extreme field of view, stretched pixels."""
    cameras = [view.camera for frame in sample.frames.values() for view in frame.views]
    if not cameras:
        return []
    worst: list[str] = []
    views = []
    for camera in cameras:
        fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
        angle = float(np.degrees(2 * np.arctan(camera.width / 2 / fx)))
        views.append(angle)
        if abs(cx / camera.width - 0.5) > 0.1 or abs(cy / camera.height - 0.5) > 0.2:
            worst.append(
                f"the principal point ({cx:.0f}, {cy:.0f}) is far from the middle of {camera.width}x{camera.height}"
            )
        if not 10 < angle < 150:
            worst.append(f"it sees {angle:.0f} degrees across")
        if not 0.8 < fx / fy < 1.25:
            worst.append(f"its pixels are stretched (fx {fx:.0f}, fy {fy:.0f})")
    values = {"field of view (degrees)": float(np.median(views))}
    if worst:
        return [Finding("cameras", "warning", f"a camera that can hardly be: {worst[0]}", values,
                        "use the intrinsics of these images, not of a resized or cropped copy")]  # fmt: skip
    return [
        Finding(
            "cameras", "ok", f"{np.median(views):.0f} degrees across, principal points in the middle", values
        )
    ]


def check_times(sample: Sample) -> list[Finding]:
    """Steps between the time stamps of the frames read; no finding without time stamps."""
    notes = [sample.notes[index] for index in sorted(sample.notes)]
    timed = [(note.index, note.id, note.timestamp) for note in notes if note.timestamp is not None]
    if len(timed) < 3:
        return []
    index, ids, stamps = (list(column) for column in zip(*timed, strict=True))
    steps = np.diff(np.array(stamps, dtype=np.float64)) / np.diff(np.array(index, dtype=np.float64))
    values = {"median step (s)": float(np.median(steps)), "longest step (s)": float(steps.max())}
    if (back := np.flatnonzero(steps <= 0)).size:
        i = int(back[0])
        return [Finding("times", "warning", f"time does not go on from {ids[i]} to {ids[i + 1]} "
                        f"({stamps[i + 1] - stamps[i]:+.3f} s)", values,
                        "fine where another sequence starts; else the frames are not in order")]  # fmt: skip
    usual = float(np.median(steps))
    if (jumps := np.flatnonzero(steps > _JUMP * usual)).size:
        i = int(jumps[0])
        return [Finding("times", "warning", f"time jumps by {steps[i]:.3g} s per frame from {ids[i]} to {ids[i + 1]}, "
                        f"the usual step is {usual:.3g} s", values, "frames are missing, or the clock was set")]  # fmt: skip
    return [Finding("times", "ok", f"time goes on by {usual:.3g} s per frame", values)]


def check_labels(scan: Scan, sample: Sample) -> tuple[int | None, list[Finding]]:
    """Number of labeled boxes in the sampled frames (None: the source has no labels), and findings about them."""
    boxes, filled, labeled = 0, 0, False
    for index, frame in sample.frames.items():
        try:
            annotations = scan.annotations(index)
        except InputError as error:
            return None, [
                Finding("labels", "warning", f"labels cannot be read: {error}", {}, "mend the file")
            ]
        if annotations is not None:
            labeled = True
            boxes += len(annotations)
            filled += sum(bool(box.contains(frame.points).any()) for box in annotations.boxes)
    if not labeled:
        return None, []
    if not boxes:
        return 0, []
    values = {"boxes": boxes, "with points": filled / boxes}
    if filled == 0:
        return boxes, [Finding("labels", "error", f"none of {boxes} labeled boxes holds a point", values,
                               "labels and points are in different frames: check the calibration")]  # fmt: skip
    return boxes, [Finding("labels", "ok", f"{filled} of {boxes} labeled boxes hold points", values)]
