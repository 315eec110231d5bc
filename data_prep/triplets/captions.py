"""Caption files for single crops, and label map files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import box_iou_2d
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_file, read_text

SAME_BOX = 0.5  # 2D IoU from which a caption's box and a detection are the same object


@dataclass(frozen=True)
class Captions:
    """Captions of single crops.

    Attributes:
        by_detection: image and annotation id → captions.
        by_box: image → boxes (n, 4) xyxy pixels and their captions.
        sha256: of the file; a set that was begun with other captions is not continued.
    """

    by_detection: Mapping[tuple[str, int], tuple[str, ...]]
    by_box: Mapping[str, tuple[NDArray[np.float64], tuple[str, ...]]]
    sha256: str

    @classmethod
    def load(cls, path: str | Path) -> Captions:
        """Read a caption file.

        Args:
            path: JSON Lines, one object per line: ``{"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}`` or
                ``{"image": NAME, "detection": ANNOTATION ID, "caption": TEXT}``. NAME is the view's, relative to the
                scan's root; boxes are in pixels of that image.

        Raises:
            InputError: a line is no such object; the line is named.
        """
        by_detection: dict[tuple[str, int], list[str]] = defaultdict(list)
        by_box: dict[str, list[tuple[list[float], str]]] = defaultdict(list)
        try:
            data = read_file(path)
            lines = data.decode("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error})", source=path, fix="give JSON Lines") from None
        for number, line in enumerate(lines, start=1):
            if line.strip():
                image, place, caption = _parse(line, path, number)
                if isinstance(place, int):
                    by_detection[image, place].append(caption)
                else:
                    by_box[image].append((place, caption))
        return cls(
            by_detection={key: tuple(texts) for key, texts in by_detection.items()},
            by_box={
                image: (np.array([box for box, _ in rows], np.float64), tuple(text for _, text in rows))
                for image, rows in by_box.items()
            },
            sha256=hashlib.sha256(data).hexdigest(),
        )

    def of(self, image: str, box: NDArray[np.float32], detection: int) -> tuple[str, ...]:
        """Captions of one detection: those with its annotation id, then those of the box that overlaps it most.

        Args:
            image: name of the view.
            box: (4,) xyxy pixels.
            detection: its annotation id.
        """
        found = self.by_detection.get((image, detection), ())
        if image in self.by_box:
            boxes, captions = self.by_box[image]
            overlap = box_iou_2d(boxes, box[None])[:, 0]
            best = overlap.max()
            if best >= SAME_BOX:
                found += tuple(text for text, value in zip(captions, overlap, strict=True) if value == best)
        return found


def load_label_map(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a label map: a JSON object from a detector's label to the labels that replace it, best first.

    An empty list leaves the label's objects out.

    Raises:
        InputError: it is not such a file; the label is named.
    """
    try:
        record = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=path, fix="give a JSON object") from None
    if not isinstance(record, dict):
        raise InputError("is not a JSON object", source=path, fix='like {"pedestrian": ["person"]}')
    mapping = {}
    for label, texts in record.items():
        given = [texts] if isinstance(texts, str) else texts
        if not isinstance(given, list) or not all(isinstance(text, str) and text.strip() for text in given):
            raise InputError(f"is {texts!r}", source=path, field=label, fix="give a list of labels")
        mapping[label] = tuple(text.strip() for text in given)
    return mapping


def _parse(line: str, path: str | Path, number: int) -> tuple[str, int | list[float], str]:
    def wrong(problem: str) -> InputError:
        return InputError(
            problem,
            source=path,
            field=f"line {number}",
            fix='write {"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}, or "detection": ID for "box"',
        )

    try:
        record: Any = parse_json(line)
    except ValueError:
        raise wrong("is not JSON") from None
    if not isinstance(record, dict):
        raise wrong("is not a JSON object")
    image, caption = record.get("image"), record.get("caption")
    if not isinstance(image, str) or not isinstance(caption, str) or not caption.strip():
        raise wrong("has no image or no caption")
    if isinstance(record.get("detection"), int):
        return image, record["detection"], caption.strip()
    box = record.get("box")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(value, int | float) and np.isfinite(value) for value in box)
        or box[2] < box[0]
        or box[3] < box[1]
    ):
        raise wrong(f"has the box {box!r}")
    return image, [float(value) for value in box], caption.strip()
