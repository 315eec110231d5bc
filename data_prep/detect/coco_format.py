"""COCO JSON files: a checked reader of annotation rows, and a streaming writer (https://cocodataset.org/#format-data).

Boxes are x, y, width, height in pixels from the image's corner. They become x0 y0 x1 y1 by addition alone: no half pixel
is moved, so a box over the whole image is [0, 0, W, H].
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from data_prep.detect.coco_masks import encode_mask, mask_bbox, mask_problem
from data_prep.detect.detections import Detections2D
from data_prep.errors import BadDatasetError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text

_V = TypeVar("_V")
# An image (file_name, width, height, and anything else), and its rows as of `coco_rows`.
Entry = tuple[Mapping[str, Any], list[dict[str, Any]]]
# Keys that COCO defines; every other key is an attribute.
_OFFICIAL = frozenset(
    {"id", "image_id", "category_id", "bbox", "score", "segmentation", "area", "iscrowd", "keypoints",
     "num_keypoints", "caption", "ignore"}
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One usable annotation: xyxy box clipped to the image, score, label, other keys as attributes."""

    id: int
    box: tuple[float, float, float, float]
    score: float
    label: str
    segmentation: Any
    attributes: dict[str, Any]


@dataclass
class ImageRows:
    """One image of the file with its usable annotations."""

    name: str
    width: int
    height: int
    rows: list[Row] = field(default_factory=list)


class RowReader:
    """Reader of the annotation form, or of the results form together with the file that holds its images.

    The structure of the file must be right; single wrong annotations are counted and skipped.

    Attributes:
        images: every image of the file by COCO id, with its usable annotations.
        info: the file's ``info``.
        categories: category id → name.
        skipped: reason → number of annotations left out.
        notes: reason → one line about the first such annotation.

    Raises:
        BadDatasetError: not JSON, not COCO, repeated ids, or not one usable annotation among many.
    """

    def __init__(self, path: Path, images_path: Path | None) -> None:
        self._path = path
        content = _load_json(path)
        if isinstance(content, list):
            if images_path is None:
                raise BadDatasetError(
                    "is the results form, which names neither images nor categories",
                    source=path,
                    fix="also give images=FILE, the annotation-form file it was made on",
                )
            annotations, index_path, index = content, images_path, _load_json(images_path)
        else:
            annotations, index_path, index = _section(path, content, "annotations"), path, content
        self.is_results = isinstance(content, list)
        info = content.get("info") if isinstance(content, dict) else None
        self.info: dict[str, Any] = info if isinstance(info, dict) else {}
        self.categories = _read_categories(index_path, _section(index_path, index, "categories"))
        self.images = _read_images(index_path, _section(index_path, index, "images"))
        self.skipped: Counter[str] = Counter()
        self.notes: dict[str, str] = {}
        ids: set[int] = set()
        for position, annotation in enumerate(annotations):
            self._add(position, annotation, ids)
        if annotations and sum(self.skipped.values()) == len(annotations):
            note = next(iter(self.notes.values()))
            raise BadDatasetError(
                f"not one of {len(annotations)} annotations is usable, first: {note}",
                source=path,
                field="annotations",
                fix="check ids, boxes and scores against the COCO format",
            )

    def _add(self, position: int, annotation: Any, ids: set[int]) -> None:
        if not isinstance(annotation, dict):
            return self._skip("not-an-object", f"annotation {position}", "is not an object")
        id = position if self.is_results else annotation.get("id")
        taken = isinstance(id, int) and id in ids
        if not isinstance(id, int) or taken:
            raise BadDatasetError(
                f"is {id!r}" + (", which is taken" if taken else ""),
                source=self._path,
                field=f"annotations[{position}].id",
                fix="number the annotations 1, 2, 3 … over the whole file",
            )
        ids.add(id)
        where = f"annotation {id}"
        image = _look_up(self.images, annotation.get("image_id"))
        if image is None:
            return self._skip(
                "unknown-image", where, f"image_id {annotation.get('image_id')!r} is not in images"
            )
        label = _look_up(self.categories, annotation.get("category_id"))
        if label is None:
            what = f"category_id {annotation.get('category_id')!r} is not in categories"
            return self._skip("unknown-category", where, what)
        if annotation.get("iscrowd"):
            return self._skip("crowd", where, "iscrowd marks a group, not one object")
        score: Any = annotation.get("score", None if self.is_results else 1.0)
        if not _is_number(score) or not 0 <= score <= 1:
            return self._skip("bad-score", where, f"score is {score!r}, not in 0..1")
        segmentation = annotation.get("segmentation") or None
        if segmentation and (problem := mask_problem(segmentation, image.width, image.height)):
            return self._skip("malformed-mask", where, f"segmentation {problem}")
        bbox = annotation.get("bbox")
        if bbox is None and segmentation:
            bbox = mask_bbox(segmentation, image.width, image.height)
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
            return self._skip("malformed-box", where, f"bbox is {bbox!r}, not x, y, width, height")
        x, y, w, h = map(float, bbox)
        if not all(map(math.isfinite, (x, y, x + w, y + h))):
            return self._skip("box-not-finite", where, f"bbox is {bbox}")
        if w <= 0 or h <= 0:
            return self._skip("box-empty-or-inverted", where, f"bbox is {bbox}, width or height not positive")
        box = (max(x, 0.0), max(y, 0.0), min(x + w, image.width), min(y + h, image.height))
        if box[0] >= box[2] or box[1] >= box[3]:
            what = f"bbox {bbox} lies outside {image.name}, {image.width}x{image.height}"
            return self._skip("box-outside-image", where, what)
        attributes = {key: value for key, value in annotation.items() if key not in _OFFICIAL}
        image.rows.append(Row(id, box, float(score), label, segmentation, attributes))
        return None

    def _skip(self, reason: str, where: str, what: str) -> None:
        self.skipped[reason] += 1
        self.notes.setdefault(reason, f"{self._path}: {where}: {what}")


def save_coco(
    path: str | Path,
    images: Mapping[str, tuple[int, int, Detections2D]],
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write detections in the COCO annotation form, atomically.

    Args:
        path: the JSON file.
        images: file name relative to the scan's root → (width, height, detections).
        info: content of ``info``, for example ``{"source": "detector", "description": …}``.

    Annotations are renumbered from 1. Masks are written as compressed run lengths, attributes as keys.
    """
    write_coco(
        path,
        [
            ({"file_name": name, "width": int(width), "height": int(height)}, coco_rows(found))
            for name, (width, height, found) in images.items()
        ],
        info,
    )


def coco_rows(detections: Detections2D) -> list[dict[str, Any]]:
    """Annotations of one image, not yet numbered, each with its label under ``label``."""
    rows = []
    for row, label in enumerate(detections.labels):
        x0, y0, x1, y1 = (float(value) for value in detections.boxes[row])
        annotation: dict[str, Any] = {
            "label": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            "score": float(detections.scores[row]),
        }
        annotation |= {key: column[row].tolist() for key, column in detections.attributes.items()}
        mask = None if detections.masks is None else detections.masks[row]
        if mask is not None:
            annotation["segmentation"] = encode_mask(mask)
            annotation["area"] = int(mask.sum())
        rows.append(annotation)
    return rows


def write_coco(path: str | Path, entries: Iterable[Entry], info: Mapping[str, Any] | None = None) -> None:
    """Write the COCO annotation form, atomically; images and annotations are numbered from 1.

    Args:
        path: the JSON file.
        entries: every image and its annotations; iterated three times, so that they need not fit into memory.
        info: content of ``info``.
    """
    labels = sorted({row["label"] for _, rows in entries for row in rows})
    category = {label: number for number, label in enumerate(labels, start=1)}
    images = ({"id": number, **image} for number, (image, _) in enumerate(entries, start=1))
    unnumbered = ((image, row) for image, (_, rows) in enumerate(entries, start=1) for row in rows)
    annotations = (
        {"id": number, "image_id": image, "category_id": category[row["label"]]}
        | {key: value for key, value in row.items() if key != "label"}
        for number, (image, row) in enumerate(unnumbered, start=1)
    )

    def write(scratch: Path) -> None:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(f'{{"info": {json.dumps(dict(info or {}))}')
            _write_list(file, "images", images)
            _write_list(file, "categories", ({"id": id, "name": label} for label, id in category.items()))
            _write_list(file, "annotations", annotations)
            file.write("}")

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def _write_list(file: TextIO, key: str, items: Iterable[Mapping[str, Any]]) -> None:
    file.write(f', "{key}": [')
    for position, item in enumerate(items):
        file.write((", " if position else "") + json.dumps(item))
    file.write("]")


def _load_json(path: Path) -> Any:
    try:
        return parse_json(read_text(path))
    except FileNotFoundError as error:
        raise BadDatasetError("does not exist", source=path, fix="check the path") from error
    except IsADirectoryError as error:
        raise BadDatasetError("is a folder", source=path, fix="give the COCO JSON file") from error
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise BadDatasetError(problem, source=path, fix="get the right to read it") from error
    except UnicodeDecodeError as error:
        raise BadDatasetError("is not text", source=path, fix="give the COCO JSON of a detector") from error
    except ValueError as error:
        raise BadDatasetError(f"is not JSON ({error})", source=path, fix="write the file again") from error


def _section(path: Path, content: Any, key: str) -> list[Any]:
    section = content.get(key) if isinstance(content, dict) else None
    if not isinstance(section, list):
        raise BadDatasetError("is not a list", source=path, field=key, fix="write the COCO annotation form")
    return section


def _read_categories(path: Path, entries: list[Any]) -> dict[Hashable, str]:
    categories: dict[Hashable, str] = {}
    for position, entry in enumerate(entries):
        valid = isinstance(entry, dict) and isinstance(entry.get("id"), (int, str))
        name = entry.get("name") if valid else None
        if not isinstance(name, str) or not name.strip() or entry["id"] in categories:
            raise BadDatasetError(
                f"is {entry!r}",
                source=path,
                field=f"categories[{position}]",
                fix="give each category a unique id and a name",
            )
        categories[entry["id"]] = name
    return categories


def _read_images(path: Path, entries: list[Any]) -> dict[Hashable, ImageRows]:
    images: dict[Hashable, ImageRows] = {}
    names: set[str] = set()
    for position, entry in enumerate(entries):
        valid = (
            isinstance(entry, dict)
            and isinstance(entry.get("id"), (int, str))
            and isinstance(entry.get("file_name"), str)
            and all(
                _is_number(entry.get(side)) and 1 <= entry[side] < math.inf for side in ("width", "height")
            )
        )
        if not valid or entry["id"] in images or entry["file_name"] in names:
            raise BadDatasetError(
                f"is {entry!r}",
                source=path,
                field=f"images[{position}]",
                fix="give each image a unique id and file_name, a width and a height in pixels",
            )
        names.add(entry["file_name"])
        images[entry["id"]] = ImageRows(entry["file_name"], int(entry["width"]), int(entry["height"]))
    return images


def _look_up(table: dict[Hashable, _V], key: Any) -> _V | None:
    return table.get(key) if isinstance(key, Hashable) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
