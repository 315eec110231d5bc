"""Words beyond the detector's: synonyms, template captions, and captions that somebody wrote for single crops."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import box_iou_2d

SAME_BOX = 0.5  # 2D IoU from which a caption's box and a detection's are the same thing


@dataclass(frozen=True)
class Captions:
    """Further texts for detections.

    Attributes:
        templates: sentences with one ``{}`` for the object's first word.
        by_detection: image and annotation id → captions.
        by_box: image → boxes (n, 4) xyxy pixels and their captions.
        sha256: of all of it; a set that was begun with other captions is not continued.
    """

    templates: tuple[str, ...] = ()
    by_detection: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    by_box: Mapping[str, tuple[NDArray[np.float64], tuple[str, ...]]] = field(default_factory=dict)
    sha256: str = ""

    @classmethod
    def load(cls, path: str | Path | None = None, templates: Sequence[str] = ()) -> Captions:
        """Read a caption file.

        Args:
            path: JSON Lines, one object per line: ``{"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}`` or
                ``{"image": NAME, "detection": ANNOTATION ID, "caption": TEXT}``. NAME is the view's, relative to the
                scan's root; boxes are in pixels of that image.
            templates: sentences with one ``{}``, like ``a photo of a {}``.

        Raises:
            InputError: a line is no such object (the line is named), or a template has not exactly one ``{}``.
        """
        for template in templates:
            if template.count("{}") != 1 or template.replace("{}", "").count("{"):
                raise InputError(
                    f"{template!r} has not exactly one {{}}", field="template", fix='like "a photo of a {}"'
                )
        data = b""
        by_detection: dict[tuple[str, int], list[str]] = defaultdict(list)
        by_box: dict[str, list[tuple[list[float], str]]] = defaultdict(list)
        if path is not None:
            try:
                data = Path(path).read_bytes()
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
        digest = hashlib.sha256(json.dumps(list(templates)).encode() + b"\n" + data)
        return cls(
            templates=tuple(templates),
            by_detection={key: tuple(texts) for key, texts in by_detection.items()},
            by_box={
                image: (np.array([box for box, _ in rows], np.float64), tuple(text for _, text in rows))
                for image, rows in by_box.items()
            },
            sha256=digest.hexdigest(),
        )

    def of(self, image: str, box: NDArray[np.float32], detection: int, word: str) -> tuple[str, ...]:
        """Texts of one detection: captions written for it first, then the templates filled with its word.

        Args:
            image: name of the view.
            box: (4,) xyxy pixels.
            detection: its annotation id.
            word: its first word.
        """
        said = list(self.by_detection.get((image, detection), ()))
        if image in self.by_box:
            boxes, captions = self.by_box[image]
            overlap = box_iou_2d(boxes, box[None])[:, 0]
            best = overlap.max()
            if best >= SAME_BOX:
                said += [text for text, value in zip(captions, overlap, strict=True) if value == best]
        return (*said, *(template.format(word) for template in self.templates))


def load_words(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a file of synonyms: a JSON object from a detector's label to its words, best first.

    An empty list leaves the label's objects out.

    Raises:
        InputError: it is not such a file; the label is named.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=path, fix="give a JSON object") from None
    if not isinstance(record, dict):
        raise InputError("is not a JSON object", source=path, fix='like {"pedestrian": ["person"]}')
    words = {}
    for label, texts in record.items():
        given = [texts] if isinstance(texts, str) else texts
        if not isinstance(given, list) or not all(isinstance(text, str) and text.strip() for text in given):
            raise InputError(f"is {texts!r}", source=path, field=label, fix="give a list of words")
        words[label] = tuple(text.strip() for text in given)
    return words


def _parse(line: str, path: str | Path, number: int) -> tuple[str, int | list[float], str]:
    def wrong(problem: str) -> InputError:
        return InputError(
            problem,
            source=path,
            field=f"line {number}",
            fix='write {"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}, or "detection": ID for "box"',
        )

    try:
        record: Any = json.loads(line)
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
