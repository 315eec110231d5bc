"""2D detectors exported to ONNX, described by a small YAML file: input, output layout, label names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from scipy.special import expit, softmax

from data_prep.config import TypedConfig, parse_config, read_yaml
from data_prep.detect.detections import Detections2D
from data_prep.detect.vocabulary import Vocabulary
from data_prep.errors import InputError
from data_prep.labels import normalize_label
from data_prep.storage.onnx_graph import graph_errors, open_graph
from data_prep.storage.reading import read_file, stays_inside

# Boxes (M, 4) x0 y0 x1 y1 in pixels of the network's input, and scores (M, K).
_Decoded = tuple[NDArray[np.float32], NDArray[np.float32]]


class OnnxDetectorConfig(TypedConfig):
    """Description of an exported detector.

    Attributes:
        model: ONNX file, relative to the description.
        names: labels in the order of the network's classes, or the name or file of a vocabulary.
        layout: form of the output: ``yolox`` (raw, decoded here), ``yolov5`` (center, size, objectness, classes),
            ``yolov8`` (center, size, classes; channels first), ``nanodet`` (classes and distance distributions),
            ``fastestdet`` (one feature map), ``boxes-scores`` (boxes (N, 4) and scores (N, K)), ``dets-labels`` (boxes
            with score (N, 5) and class numbers (N,), suppressed already).
        size: width and height of the input; None: as the model declares them.
        resize: ``letterbox``: keep proportions, the rest is ``fill``; ``stretch``: do not.
        centered: with ``letterbox``: the image lies in the middle, not at the top left.
        fill: value of the rest, before ``mean`` and ``std``.
        channels: order of the input's channels.
        mean, std: of the channels in their order, taken off and divided by.
        strides: of the feature maps, for ``yolox`` and ``nanodet``.
        license: of the weights, kept with the detections.
    """

    model: str
    names: str | tuple[str, ...]
    layout: Literal["yolox", "yolov5", "yolov8", "nanodet", "fastestdet", "boxes-scores", "dets-labels"]
    size: tuple[int, int] | None = None
    resize: Literal["letterbox", "stretch"] = "letterbox"
    centered: bool = False
    fill: int = Field(default=114, ge=0, le=255)
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    strides: tuple[int, ...] = (8, 16, 32)
    license: str = "not stated"


class OnnxDetector:
    """A detector with fixed labels, run by onnxruntime.

    Args:
        description: YAML file with the keys of :class:`OnnxDetectorConfig`.
        vocabulary: keep these of its labels; None: all.

    Raises:
        InputError: onnxruntime is not installed; a wrong key or value; a missing or damaged model; a number of classes
            that differs from the names; labels that the detector lacks.
    """

    def __init__(self, description: str | Path, vocabulary: Vocabulary | None = None) -> None:
        path = Path(description)
        self.config = config = parse_config(OnnxDetectorConfig, read_yaml(path), source=path)
        if not stays_inside(config.model):
            raise InputError(
                f"{config.model!r} leaves the folder",
                source=path,
                field="model",
                fix="put both into one folder",
            )
        file = path.parent / config.model
        if not file.is_file():
            raise InputError("does not exist", source=file, field="model", fix=f"correct it in {path}")
        self._file, self._session = file, open_graph(file, needed_for=str(path))
        self._digest = hashlib.sha256(read_file(file)).hexdigest()
        known = Vocabulary.load(config.names).labels if isinstance(config.names, str) else config.names
        self._classes = tuple(known)
        self._wanted = self._choose(vocabulary)
        self.labels: Sequence[str] = tuple(self._classes[i] for i in self._wanted)
        self._source = path
        self._size = config.size or self._declared_size(path)

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        """As :class:`~data_prep.detect.detector.Detector`.

        Raises:
            InputError: the output does not have the form of ``layout``.
        """
        return [self._detect(image, min_score) for image in images]

    def settings(self) -> Mapping[str, Any]:
        """Digest of the model, description and labels."""
        return {"onnx": self._digest, **self.config.model_dump(mode="json"), "labels": list(self.labels)}

    def _detect(self, image: NDArray[np.uint8], min_score: float) -> Detections2D:
        height, width = image.shape[:2]
        array, scale, offset = self._input(image)
        with graph_errors(self._file):
            outputs = self._session.run(None, {self._session.get_inputs()[0].name: array})
        outputs = [np.asarray(output) for output in outputs]
        try:
            boxes, scores = _LAYOUTS[self.config.layout](outputs, self._size, self.config.strides)
        except (IndexError, ValueError) as error:
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise InputError(
                f"does not fit the outputs {shapes} ({error})", source=self._source, field="layout"
            ) from None
        if scores.shape[1] < len(self._classes) and self.config.layout == "dets-labels":
            scores = np.pad(scores, ((0, 0), (0, len(self._classes) - scores.shape[1])))
        if scores.shape[1] != len(self._classes):
            raise InputError(
                f"are {len(self._classes)}, the network has {scores.shape[1]} classes",
                source=self._source,
                field="names",
            )
        scores = scores[:, self._wanted]
        best = scores.argmax(axis=1) if scores.shape[1] else np.zeros(len(scores), np.int64)
        value = scores[np.arange(len(scores)), best]
        boxes = (boxes - np.tile(offset, 2)) / np.tile(scale, 2)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        good = (
            (value >= min_score) & np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        )
        return Detections2D(
            boxes=boxes[good].astype(np.float32),
            scores=np.clip(value[good], 0, 1).astype(np.float32),
            labels=tuple(self.labels[i] for i in best[good]),
        )

    def _input(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray, NDArray]:
        """The network's input (1, 3, h, w), and scale and offset (2,) from image to input pixels."""
        config, (width, height) = self.config, self._size
        scale = np.array([width / image.shape[1], height / image.shape[0]])
        if config.resize == "letterbox":
            scale[:] = scale.min()
        side = np.maximum(np.round(scale * image.shape[1::-1]).astype(int), 1)
        resized = Image.fromarray(image).resize((int(side[0]), int(side[1])), Image.Resampling.BILINEAR)
        offset = ([width, height] - side) // 2 if config.centered else np.zeros(2, int)
        canvas = np.full((height, width, 3), config.fill, np.float32)
        canvas[offset[1] : offset[1] + side[1], offset[0] : offset[0] + side[0]] = np.asarray(resized)
        if config.channels == "bgr":
            canvas = canvas[..., ::-1]
        canvas -= np.array(config.mean, np.float32)
        canvas /= np.array(config.std, np.float32)
        return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]), scale, offset

    def _declared_size(self, path: Path) -> tuple[int, int]:
        shape = self._session.get_inputs()[0].shape
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
            raise InputError(
                f"is missing, and the model takes {shape}",
                source=path,
                field="size",
                fix="write size: [WIDTH, HEIGHT]",
            )
        return shape[3], shape[2]

    def _choose(self, vocabulary: Vocabulary | None) -> list[int]:
        if vocabulary is None:
            return list(range(len(self._classes)))
        place = {normalize_label(label): i for i, label in enumerate(self._classes)}
        missing = [label for label in vocabulary.labels if normalize_label(label) not in place]
        if missing:
            raise InputError(
                f"{missing[0]!r} is not one of the detector's {len(self._classes)} labels",
                field="vocabulary",
                fix=f"choose from {', '.join(self._classes[:8])} …, or use an open-vocabulary detector",
            )
        return [place[normalize_label(label)] for label in vocabulary.labels]


def _corners(boxes: NDArray) -> NDArray[np.float32]:
    """Boxes (M, 4) as x0 y0 x1 y1 from center and size."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _cells(size: tuple[int, int], strides: Sequence[int]) -> NDArray[np.float32]:
    """(M, 3) column, row and stride of every cell of all feature maps, row by row."""
    parts = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-size[1] // stride), : -(-size[0] // stride)]
        parts.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(parts).astype(np.float32)


def _yolov5(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    (rows,) = outputs[0]
    return _corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:]


def _yolox(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    (rows,) = outputs[0]
    cells = _cells(size, strides)
    center = (rows[:, :2] + cells[:, :2]) * cells[:, 2:]
    sides = np.exp(np.minimum(rows[:, 2:4], 20)) * cells[:, 2:]
    return _corners(np.concatenate([center, sides], axis=1)), rows[:, 4:5] * rows[:, 5:]


def _yolov8(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    (columns,) = outputs[0]
    return _corners(columns[:4].T), columns[4:].T


def _nanodet(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    (rows,) = outputs[0]
    cells = _cells(size, strides)
    # The last 4 (R + 1) channels are distributions over distances 0 … R to the four sides; NanoDet-Plus has R = 7.
    bins = 8
    chances = softmax(rows[:, -4 * bins :].reshape(len(rows), 4, bins), axis=2)
    distance = (chances @ np.arange(bins)) * cells[:, 2:]
    center = cells[:, :2] * cells[:, 2:]
    return np.concatenate([center - distance[:, :2], center + distance[:, 2:]], axis=1), rows[:, : -4 * bins]


def _fastestdet(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    (grid,) = outputs[0]
    _, high, wide = grid.shape
    rows = grid.reshape(len(grid), -1).T
    y, x = np.divmod(np.arange(high * wide), wide)
    center = (np.tanh(rows[:, 1:3]) + np.stack([x, y], axis=1)) / [wide, high]
    boxes = np.concatenate([center, expit(rows[:, 3:5])], axis=1) * np.tile(size, 2)
    return _corners(boxes), rows[:, :1] ** 0.6 * rows[:, 5:] ** 0.4


def _boxes_scores(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    boxes, scores = (output[0] if output.ndim == 3 else output for output in outputs[:2])
    return boxes.reshape(-1, 4), scores.reshape(len(boxes), -1)


def _dets_labels(outputs: list[NDArray], size: tuple[int, int], strides: Sequence[int]) -> _Decoded:
    rows, numbers = outputs[0].reshape(-1, 5), outputs[1].reshape(-1).astype(np.int64)
    scores = np.zeros((len(rows), int(numbers.max(initial=-1)) + 1), np.float32)
    scores[np.arange(len(rows)), np.maximum(numbers, 0)] = rows[:, 4] * (numbers >= 0)
    return rows[:, :4], scores


_LAYOUTS: dict[str, Callable[[list[NDArray], tuple[int, int], Sequence[int]], _Decoded]] = {
    "yolox": _yolox,
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "nanodet": _nanodet,
    "fastestdet": _fastestdet,
    "boxes-scores": _boxes_scores,
    "dets-labels": _dets_labels,
}
