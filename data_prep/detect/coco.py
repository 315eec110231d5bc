"""COCO JSON: any detector's output enters here, and labels too.

Boxes are x, y, width, height in pixels from the image's corner (https://cocodataset.org/#format-data). They
become x0 y0 x1 y1 by addition alone: no half pixel is moved, so a box over the whole image is [0, 0, W, H].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.coco_masks import decode_mask
from data_prep.detect.coco_rows import ImageRows, Row, RowReader
from data_prep.detect.coco_writing import coco_rows, write_coco
from data_prep.detect.detections import Detections2D
from data_prep.detect.image_names import ImageNames
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans.scan import Scan


@dataclass(frozen=True)
class Coverage:
    """How the images of a detection file and of a scan meet, by name.

    Attributes:
        matched: images that both have.
        not_in_scan: names in the file that the scan does not have.
        not_in_file: names in the scan that the file does not have; they get no detections.
    """

    matched: int
    not_in_scan: tuple[str, ...]
    not_in_file: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.matched} images with detections"
        for names, what in (
            (self.not_in_scan, "only in the detections"),
            (self.not_in_file, "only in the scan"),
        ):
            if names:
                text += f", {len(names)} {what} (first: {names[0]})"
        return text


class CocoDetections:
    """Detections of many images, handed out one image at a time; masks are decoded only then.

    Attributes:
        path: the file.
        min_score: detections below are left out.
        info: its ``info`` object.
        is_ground_truth: ``info.source`` is ``gt``: these are labels, never to be reported as a detector's.
        image_names: ``file_name`` of every image, in file order.
        categories: category id → name.
        skipped: reason → number of annotations that could not be used.
        skip_notes: reason → one line naming file, annotation and field of the first of them.
    """

    def __init__(self, path: Path, reader: RowReader, min_score: float) -> None:
        self.path = path
        self.min_score = min_score
        self.info = reader.info
        self.is_ground_truth = reader.info.get("source") == "gt"
        self.categories = reader.categories
        self.skipped = dict(reader.skipped)
        self.skip_notes = dict(reader.notes)
        self._images = {image.name: image for image in reader.images.values()}
        for image in self._images.values():
            image.rows = [row for row in image.rows if row.score >= min_score]
        self.image_names = tuple(self._images)
        self._names = ImageNames(self.image_names)
        kept = [row for image in self._images.values() for row in image.rows]
        # A column must exist for every row, or results could not be sliced and joined.
        self._attributes = sorted(
            set.intersection(*({k for k, v in row.attributes.items() if _is_scalar(v)} for row in kept))
            if kept
            else ()
        )

    @classmethod
    def load(
        cls, path: str | Path, min_score: float = 0.0, images: str | Path | None = None
    ) -> CocoDetections:
        """Read a COCO file.

        Annotations that are wrong (box not finite, inverted, outside its image; unknown image or category;
        score outside 0..1; malformed mask; crowd) are counted in ``skipped``. Boxes that reach over the border
        are clipped.

        Args:
            path: annotation form (an object with images, categories, annotations) or results form (a list).
            min_score: detections below are left out.
            images: annotation-form file with the images and categories of a results file.

        Raises:
            InputError: ``min_score`` outside 0..1.
            BadDatasetError: the file's structure is wrong, or none of its annotations is usable.
        """
        if not 0 <= min_score <= 1:
            raise InputError(f"is {min_score}", field="min_score", fix="give a score from 0 to 1")
        return cls(Path(path), RowReader(Path(path), None if images is None else Path(images)), min_score)

    def __len__(self) -> int:
        """Number of detections."""
        return sum(len(image.rows) for image in self._images.values())

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        """Detections of one image, empty where the file has none.

        Args:
            name: ``View.name``; matched exactly, else by the longest common end of the path (:class:`ImageNames`).
            width, height: the image's size in pixels.

        Raises:
            BadFrameError: the detections were made on another size, or a mask cannot be decoded.
            BadDatasetError: several images of the file could be meant.
        """
        found = self._names.find(name)
        if found is None:
            return Detections2D.empty()
        image = self._images[found]
        if (image.width, image.height) != (width, height):
            raise BadFrameError(
                f"is {image.width}x{image.height} for {found}, the camera's image {width}x{height}",
                source=self.path,
                field="images.width, images.height",
                fix="run the detector on the scan's own images, not on resized copies",
            )
        rows = image.rows
        return Detections2D(
            boxes=np.array([row.box for row in rows], np.float32).reshape(-1, 4),
            scores=np.array([row.score for row in rows], np.float32),
            labels=tuple(row.label for row in rows),
            ids=np.array([row.id for row in rows], np.int64),
            masks=self._masks(image),
            attributes={key: np.array([row.attributes[key] for row in rows]) for key in self._attributes},
        )

    def check(self, scan: Scan) -> Coverage:
        """Compare the file's images with the scan's.

        Raises:
            BadDatasetError: none of the file's images is in the scan, or two images of the scan are the same
                one of the file.
        """
        in_scan = scan.image_names()
        partner: dict[str, str] = {}
        lonely = []
        for name in in_scan:
            found = self._names.find(name)
            if found is None:
                lonely.append(name)
            elif found in partner:
                raise BadDatasetError(
                    f"{found!r} could be {partner[found]!r} or {name!r} of the scan",
                    source=self.path,
                    field="images.file_name",
                    fix="make file_name relative to the scan's root",
                )
            else:
                partner[found] = name
        if not partner:
            theirs = repr(in_scan[0]) if in_scan else "none at all"
            ours = repr(self.image_names[0]) if self.image_names else "none at all"
            raise BadDatasetError(
                f"none of its {len(self.image_names)} images is in the scan {scan.root}; here the first is "
                f"{ours}, in the scan {theirs}",
                source=self.path,
                field="images.file_name",
                fix="give the detections of this scan, with file_name relative to its root",
            )
        return Coverage(len(partner), tuple(n for n in self.image_names if n not in partner), tuple(lonely))

    def _masks(self, image: ImageRows) -> NDArray[np.bool_] | NDArray[np.object_] | None:
        """As ``Detections2D.masks``. A box is never filled to make a mask: lifters trust masks, boxes they clean."""
        if not any(row.segmentation for row in image.rows):
            return None
        masks = np.empty(len(image.rows), object)
        for position, row in enumerate(image.rows):
            masks[position] = self._decode(row, image) if row.segmentation else None
        return np.stack(list(masks)) if all(row.segmentation for row in image.rows) else masks

    def _decode(self, row: Row, image: ImageRows) -> NDArray[np.bool_]:
        try:
            return decode_mask(row.segmentation, image.width, image.height)
        except ValueError as error:
            raise BadFrameError(
                f"cannot be decoded ({error})",
                source=self.path,
                field=f"annotation {row.id}: segmentation",
                fix="write the run lengths again",
            ) from error


def save_coco(
    path: str | Path,
    images: Mapping[str, tuple[int, int, Detections2D]],
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write detections in the COCO annotation form, atomically.

    Args:
        path: the JSON file.
        images: file name relative to the scan's root → (width, height, detections).
        info: goes into ``info``, for example ``{"source": "detector", "description": …}``.

    Annotations are numbered anew from 1. Masks are written as compressed run lengths, attributes as keys.
    """
    write_coco(
        path,
        [
            ({"file_name": name, "width": int(width), "height": int(height)}, coco_rows(found))
            for name, (width, height, found) in images.items()
        ],
        info,
    )


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float, str))
