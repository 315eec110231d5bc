"""Small COCO files, and the mask they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def annotation(id: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": id, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 40], "score": 0.5, **fields}


def content(*annotations: dict[str, Any], name: str = "a/img.png", **fields: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 1, "file_name": name, "width": 100, "height": 80},
            {"id": 2, "file_name": "a/other.png", "width": 100, "height": 80},
        ],
        "categories": [{"id": 3, "name": "car"}, {"id": 8, "name": "Person_sitting"}],
        "annotations": list(annotations),
        **fields,
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def mask_of_a_rectangle() -> np.ndarray:
    mask = np.zeros((80, 100), bool)
    mask[20:60, 10:40] = True
    return mask
