"""2D detections of one image, and their constructors from other libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError


@dataclass(frozen=True)
class Detections2D:
    """Boxes, scores and labels of one image; slices like a list.

    Attributes:
        boxes: (M, 4) float32 x0 y0 x1 y1 in pixels, x0 <= x1 and y0 <= y1.
        scores: (M,) float32 in 0..1.
        labels: M labels, spelled as the detector spells them.
        ids: (M,) int64, unique within the image's source; annotation ids if there are any.
        masks: (M, H, W) bool; or (M,) objects, each an (H, W) bool or None, if only some detections have one;
            or None.
        attributes: further (M, ...) arrays by name, for example ``track_id``.

    Raises:
        InputError: lengths differ, a box is inverted or not finite, a label is empty.

    >>> boxes = np.array([[10, 20, 50, 80], [0, 0, 9, 9]], np.float32)
    >>> found = Detections2D(boxes, np.array([0.9, 0.4], np.float32), ("chair", "mug"))
    >>> found[found.scores > 0.5].labels
    ('chair',)
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    ids: NDArray[np.int64] | None = None
    masks: NDArray | None = None
    attributes: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4)
        count = len(boxes)
        ids = np.arange(count) if self.ids is None else np.asarray(self.ids, dtype=np.int64)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float32))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "ids", ids)
        columns: dict[str, Sized] = {
            "scores": self.scores,
            "labels": self.labels,
            "ids": ids,
            **self.attributes,
        }
        if self.masks is not None:
            columns["masks"] = self.masks
        for name, column in columns.items():
            if len(column) != count:
                raise InputError(f"has {len(column)} entries for {count} boxes", field=f"detections.{name}")
        wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"box {first} is {boxes[first].tolist()}",
                field="detections.boxes",
                fix="give x0 <= x1, y0 <= y1",
            )
        if any(not label.strip() for label in self.labels):
            raise InputError("holds an empty label", field="detections.labels", fix="name every box")

    @classmethod
    def empty(cls) -> Detections2D:
        """No detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @classmethod
    def from_supervision(cls, detections: Any, labels: Sequence[str] | None = None) -> Detections2D:
        """Convert ``supervision.Detections`` (Roboflow) of one image; the library itself is not needed.

        Args:
            detections: has ``xyxy`` (M, 4) and, each possibly None, ``confidence`` (M,) in 0..1, ``class_id`` (M,) int,
                ``mask`` (M, H, W) bool, ``tracker_id`` (M,) int and ``data`` with ``class_name`` (M,).
            labels: label of each class id; takes precedence over ``data["class_name"]``.

        Returns:
            Detections with scores of 1 if there is no confidence; ``tracker_id`` becomes the attribute ``track_id``.

        Raises:
            InputError: there are no labels, or the arrays do not fit together.
        """
        scores, numbers, masks, track_id = (
            getattr(detections, name, None) for name in ("confidence", "class_id", "mask", "tracker_id")
        )
        boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
        names = (getattr(detections, "data", None) or {}).get("class_name") if labels is None else None
        if names is None and len(boxes):
            if labels is None or numbers is None:
                raise InputError(
                    'has neither data["class_name"] nor class_id with labels',
                    source="supervision.Detections",
                    fix="give labels=, the label of each class id",
                )
            names = _look_up(numbers, dict(enumerate(labels)), "supervision.Detections", "class_id")
        return cls(
            boxes=boxes,
            scores=np.ones(len(boxes), np.float32) if scores is None else scores,
            labels=() if names is None else tuple(map(str, names)),
            masks=None if masks is None else np.asarray(masks, bool),
            attributes={} if track_id is None else {"track_id": np.asarray(track_id, np.int64)},
        )

    @classmethod
    def from_transformers(
        cls, results: Mapping[str, Any], id2label: Mapping[int, str] | None = None
    ) -> Detections2D:
        """Convert the result that an object detector of Hugging Face's transformers gives for one image.

        Args:
            results: one entry of the list that ``post_process_object_detection`` (DETR, YOLOS, OWL-ViT …) or
                ``post_process_grounded_object_detection`` (Grounding DINO, OWLv2 …) of a processor returns, called with
                ``target_sizes``: ``boxes`` (M, 4) xyxy pixels, ``scores`` (M,), and ``labels`` (M,) class ids or
                ``text_labels``. Tensors of any device and dtype, or arrays.
            id2label: class id → label, usually ``model.config.id2label``; None: the results hold labels as text.

        Raises:
            InputError: an entry is missing, a class id has no label, or the arrays do not fit together.

        >>> results = {"boxes": [[0, 0, 8, 4]], "scores": [0.9], "labels": [17]}
        >>> Detections2D.from_transformers(results, {17: "cat"}).labels
        ('cat',)
        """
        source = "transformers results"
        for name in ("boxes", "scores", "labels"):
            if name not in results:
                raise InputError(
                    "is missing",
                    source=source,
                    field=name,
                    fix="give one entry of post_process_object_detection",
                )
        names = results["labels"] if results.get("text_labels") is None else results["text_labels"]
        if id2label is not None:
            names = _look_up(_array(results["labels"]), id2label, source, "labels")
        elif not all(isinstance(name, str) for name in names):
            raise InputError(
                "are class ids", source=source, field="labels", fix="give id2label=model.config.id2label"
            )
        return cls(_array(results["boxes"]), _array(results["scores"]), tuple(names))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: slice | ArrayLike) -> Detections2D:
        """Select by slice, integer array or boolean array; every field follows."""
        keep = np.arange(len(self))[index]  # type: ignore[index]
        keep = np.atleast_1d(keep)
        assert self.ids is not None
        return Detections2D(
            boxes=self.boxes[keep],
            scores=self.scores[keep],
            labels=tuple(self.labels[i] for i in keep),
            ids=self.ids[keep],
            masks=None if self.masks is None else self.masks[keep],
            attributes={name: column[keep] for name, column in self.attributes.items()},
        )


def _array(values: Any) -> NDArray:
    """Numbers of a list, an array, or a tensor of any device and dtype."""
    return np.asarray(values.detach().cpu().float() if hasattr(values, "detach") else values)


def _look_up(numbers: ArrayLike, names: Mapping[int, str], source: str, field: str) -> list[str]:
    """The names of class ids."""
    ids = [int(number) for number in np.asarray(numbers)]
    unknown = [number for number in ids if number not in names]
    if unknown:
        raise InputError(
            f"holds {unknown[0]}, the {len(names)} labels do not",
            source=source,
            field=field,
            fix="give the label of every class id",
        )
    return [names[number] for number in ids]
