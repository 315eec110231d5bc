"""Do labeled boxes hold points?"""

from __future__ import annotations

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample
from data_prep.errors import InputError
from data_prep.scans import Scan


def check_labels(scan: Scan, sample: Sample) -> tuple[int | None, list[Finding]]:
    """Number of labeled boxes in the sampled frames (None: the source has no labels), and what is wrong with them."""
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
