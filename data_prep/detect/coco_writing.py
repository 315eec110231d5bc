"""Writing COCO JSON piece by piece: masks are held as run lengths, and the file need not fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from data_prep.detect.coco_masks import encode_mask
from data_prep.detect.detections import Detections2D
from data_prep.storage.files import write_atomically

# What COCO says of an image (file_name, width, height, and anything else), and its rows as of `coco_rows`.
Entry = tuple[Mapping[str, Any], list[dict[str, Any]]]


def coco_rows(detections: Detections2D) -> list[dict[str, Any]]:
    """Annotations of one image, each with its word under ``label`` and not yet numbered."""
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
        entries: every image and its annotations; gone through three times.
        info: goes into ``info``.
    """
    words = sorted({row["label"] for _, rows in entries for row in rows})
    category = {word: number for number, word in enumerate(words, start=1)}
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
            _write_list(file, "categories", ({"id": id, "name": word} for word, id in category.items()))
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
