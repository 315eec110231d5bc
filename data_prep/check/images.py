"""Images that show nothing, frames that are there twice, cameras that cannot be."""

from __future__ import annotations

import numpy as np

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample

_CONSTANT = 2.0  # gray levels of spread; sensors at night have more


def check_images(sample: Sample) -> list[Finding]:
    """Images without content; nothing where there are no images."""
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
    """Frames whose points and images are the same, bit for bit."""
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
    """Intrinsics that no camera has: a principal point off the middle, a field of view beyond reason, stretched pixels."""
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
