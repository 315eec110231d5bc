"""Corrected objects as training labels: a layout folder with 3D boxes, and COCO boxes of its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clip2.viewer.content import Content
from data_prep.detect.coco_format import save_coco
from data_prep.detect.detections import Detections2D
from data_prep.report.crops import outline
from data_prep.scans import Frame, Scan, View
from data_prep.scans.frame import Annotations3D
from data_prep.scans.layout.save import save_layout

COCO, LAYOUT = "labels.json", "layout"


class LabeledScan(Scan):
    """Moments of the page as a scan: their clouds and images, with the page's labels.

    Args:
        root: folder that the images' names are relative to.
        source: reader of the original scan.
        moments: frame id → content and labels.
    """

    def __init__(self, root: Path, source: str, moments: Mapping[str, tuple[Content, Annotations3D]]) -> None:
        self.root, self.source = root, source
        self._ids, self._moments = list(moments), list(moments.values())

    def frame_ids(self) -> list[str]:
        """Ids of the moments."""
        return self._ids

    def __getitem__(self, index: int) -> Frame:
        content, _ = self._moments[index]
        return Frame(
            id=self._ids[index],
            points=content.in_frame(content.points),
            T_world_points=content.T_world_points,
            views=content.views,
            colors=content.colors,
            intensity=content.intensity,
            timestamp=content.objects.timestamp,
        )

    def annotations(self, index: int) -> Annotations3D:
        """Labels of a moment."""
        return self._moments[index][1]

    def image_names(self) -> list[str]:
        """Names of all images."""
        return [view.name for content, _ in self._moments for view in content.views]


def save_labels(
    folder: Path, root: Path, source: str, moments: Mapping[str, tuple[Content, Annotations3D, list[int]]]
) -> list[Path]:
    """Write labels of some moments, for training.

    Args:
        folder: gets ``layout/``, a scan with 3D boxes, and ``labels.json``, COCO boxes of the images if there are any.
        root: folder of the original scan.
        source: its reader.
        moments: frame id → content, labels, and the number of each label's object.

    Returns:
        What was written.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    target = folder / LAYOUT
    for id in moments:  # a frame saved before is written again, as its labels may have changed
        (target / "frames" / f"{id}.json").unlink(missing_ok=True)
    scan = LabeledScan(root, source, {id: (content, found) for id, (content, found, _) in moments.items()})
    save_layout(scan, target)
    written = [target]
    images = {
        view.name: (view.camera.width, view.camera.height, boxes_in_image(content, view, found, numbers))
        for content, found, numbers in moments.values()
        for view in content.views
    }
    if images:
        save_coco(folder / COCO, images, info={"source": "gt", "description": "corrected in clip2 view"})
        written.append(folder / COCO)
    return written


def boxes_in_image(content: Content, view: View, labels: Annotations3D, numbers: list[int]) -> Detections2D:
    """2D boxes around the points of the labeled objects that are in an image."""
    outlines = [
        outline(view.camera, content.in_frame(content.points[content.objects.indices[n]])) for n in numbers
    ]
    kept = [
        (row, box) for row, (box, _) in enumerate(outlines) if box is not None and (box[2:] > box[:2]).all()
    ]
    scores = labels.attributes.get("score", np.ones(len(labels)))
    return Detections2D(
        boxes=np.array([box for _, box in kept], np.float32).reshape(-1, 4),
        scores=np.array([scores[row] for row, _ in kept], np.float32),
        labels=tuple(labels.labels[row] for row, _ in kept),
    )
