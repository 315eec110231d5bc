"""Detections of many images from a COCO JSON file, matched to the images of a scan by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.coco_format import ImageRows, Row, RowReader
from data_prep.detect.coco_masks import decode_mask
from data_prep.detect.detections import Detections2D
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans.scan import Scan


@dataclass(frozen=True)
class Coverage:
    """Images of a detection file and of a scan, matched by name.

    Attributes:
        matched: images in both.
        not_in_scan: names only in the file.
        not_in_file: names only in the scan; they get no detections.
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
    """Detections of many images, served one image at a time; masks are decoded on demand.

    Attributes:
        path: the file.
        min_score: detections below are dropped.
        info: its ``info`` object.
        is_ground_truth: ``info.source`` is ``gt``: these are human labels, never to be reported as a detector's.
        image_names: ``file_name`` of every image, in file order.
        categories: category id → name.
        skipped: reason → number of unusable annotations.
        skip_notes: reason → one line naming file, annotation and field of the first one.

    >>> import tempfile
    >>> from data_prep import open_scan
    >>> scan, folder = open_scan("procedural", "room", frames=1), tempfile.TemporaryDirectory()
    >>> scan.save_detections(f"{folder.name}/detections.json")
    >>> found = CocoDetections.load(f"{folder.name}/detections.json")
    >>> view = scan[0].views[0]
    >>> len(found.for_image(view.name, view.camera.width, view.camera.height)), found.is_ground_truth
    (21, True)
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

        Wrong annotations (box not finite, inverted, outside its image; unknown image or category; score outside 0..1;
        malformed mask; crowd) are counted in ``skipped``. Boxes are clipped to the image.

        Args:
            path: annotation form (an object with images, categories, annotations) or results form (a list).
            min_score: detections below are dropped.
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
        """Detections of one image, empty if the file has none.

        Args:
            name: ``View.name``; matched exactly, else by the longest common end of the path (:class:`ImageNames`).
            width, height: the image's size in pixels.

        Raises:
            BadFrameError: the detections were made on another size, or a mask cannot be decoded.
            BadDatasetError: several images of the file match equally well.
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
            BadDatasetError: none of the file's images is in the scan, or two images of the scan match the same one.
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
        """As ``Detections2D.masks``. A box never becomes a mask: lifters trust masks, but clean boxes."""
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


class ImageNames:
    """Image names, looked up by equality, else by one path being the end of the other.

    ``training/image_2/000000.png`` finds ``image_2/000000.png`` and ``/data/kitti/training/image_2/000000.png``,
    but never ``image_3/000000.png``.

    >>> ImageNames(["kv1/img_1/a.jpg", "kv2/img_1/a.jpg"]).find("SUNRGBD/kv2/img_1/a.jpg")
    'kv2/img_1/a.jpg'
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[tuple[str, ...], str] = {}
        self._by_file: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in names:
            parts = _parts(name)
            self._exact[parts] = name
            self._by_file[parts[-1]].append(parts)

    def find(self, name: str) -> str | None:
        """The stored name of the same image as ``name``, or None.

        Raises:
            BadDatasetError: several stored names match equally well.
        """
        parts = _parts(name)
        if parts in self._exact:
            return self._exact[parts]
        ends = [
            (shared, other)
            for other in self._by_file.get(parts[-1], ())
            if parts[-(shared := min(len(parts), len(other))) :] == other[-shared:]
        ]
        if not ends:
            return None
        longest = max(shared for shared, _ in ends)
        best = [self._exact[other] for shared, other in ends if shared == longest]
        if len(best) > 1:
            raise BadDatasetError(
                f"could be {best[0]!r} or {best[1]!r}",
                source=name,
                field="file_name",
                fix="make the names relative to the scan's root",
            )
        return best[0]


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".")) or (
        "",
    )


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float, str))
