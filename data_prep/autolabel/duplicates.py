"""Duplicates: two labels of one frame that fill the same space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_prep.autolabel.labels import LabeledFrame
from data_prep.geometry.box_iou import box_iou_3d, box_rows

SAME_SPACE = "same-space"
_MOST = 0.5  # 3D IoU; a bicycle and its rider share less


def without_duplicates(frames: Sequence[LabeledFrame]) -> tuple[list[LabeledFrame], int]:
    """Leave out labels that fill the space of a better one: a detector drew two boxes around one thing.

    Args:
        frames: of a scan.

    Returns:
        The frames, and the number of labels left out.
    """
    kept, left_out = [], 0
    for frame in frames:
        labels = frame.labels
        rows = box_rows(one.box for one in labels)
        iou = box_iou_3d(rows, rows)[0]
        chosen: list[int] = []
        for row in sorted(
            range(len(labels)), key=lambda row: (-labels[row].score * labels[row].quality, row)
        ):
            if all(iou[row, other] <= _MOST for other in chosen):
                chosen.append(row)
        left_out += len(labels) - len(chosen)
        kept.append(replace(frame, labels=tuple(labels[row] for row in sorted(chosen))))
    return kept, left_out
