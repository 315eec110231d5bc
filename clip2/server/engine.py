"""Model of a server: recognition, classification and embeddings for many requests at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2.object_model import Description, ObjectModel
from clip2.recognition import Recognizer
from clip2.recognition.proposals import Kind
from clip2.recognition.recognizer import Unknown
from clip2.server.batching import Batcher
from clip2.server.metrics import Metrics
from clip2.teacher.text_source import TextSource, labels_and_vectors
from data_prep.scans import Frame


@dataclass(frozen=True)
class RecognizeOptions:
    """Arguments of :meth:`clip2.Recognizer.query`, and how objects are found."""

    labels: str | None = None
    threshold: float = 0.0
    background: str = ""
    unknown: Unknown = "keep"
    min_objectness: float = 0.0
    max_objects: int | None = None
    proposals: Kind = "auto"
    brief: bool = False


class Engine:
    """One model for all threads.

    Args:
        model: as :func:`clip2.load` returns it.
        text: source of label vectors; None: the model's own.
        labels: of requests that state none; None: all labels of ``text``.
        metrics: to count in.
    """

    def __init__(
        self, model: ObjectModel, metrics: Metrics, text: TextSource | None = None, labels: str | None = None
    ) -> None:
        self.model, self.text, self.labels = model, model.text_source(text), labels
        self.batcher = Batcher(model.describe, observe=metrics.observe_batch)
        self.check(labels)

    def close(self) -> None:
        """Finish what is encoded and end the thread."""
        self.batcher.close()

    def warm_up(self) -> None:
        """Recognize a small scan, so that the first request does not wait for libraries that load late."""
        grid = np.stack(np.meshgrid(*[np.arange(12)] * 3), axis=-1).reshape(-1, 3)
        cube = 0.05 * grid[((grid == 0) | (grid == 11)).any(axis=1)]
        frame = Frame.build("warm-up", np.concatenate([cube, cube + [1, 1, 0]]))
        kinds: tuple[Kind, ...] = ("room", "lidar")
        for kind in kinds:
            Recognizer(self.model, self.text, self.batcher).set_scan(frame, proposals=kind).query(self.labels)

    def check(self, labels: str | None, background: str = "") -> None:
        """Check labels before any work.

        Raises:
            InputError: no labels, a repeated label, or one without a vector.
        """
        labels_and_vectors(self.text, self._asked(labels), background)

    def recognize(self, frame: Frame, options: RecognizeOptions, most: int) -> dict[str, Any]:
        """The document of ``Instances3D.to_json``, with notes and seconds; ``brief`` leaves out its long arrays."""
        recognizer = Recognizer(self.model, self.text, self.batcher)
        recognizer.set_scan(frame, proposals=options.proposals)
        found = recognizer.query(
            self._asked(options.labels),
            options.threshold,
            options.background,
            options.unknown,
            options.min_objectness,
            most if options.max_objects is None else min(options.max_objects, most),
        )
        document = without_arrays(found.to_json()) if options.brief else found.to_json()
        seconds = {step: round(value, 4) for step, value in recognizer.seconds.items()}
        return {**document, "notes": list(recognizer.notes), "seconds": seconds}

    def classify(
        self, described: Description, files: list[str], labels: str | None, top: int, unknown: str
    ) -> dict[str, Any]:
        """The document of ``clip2 classify --json``."""
        names, vectors = labels_and_vectors(self.text, self._asked(labels))
        return self.model.name(described, names, vectors).to_json(files, top, unknown)

    def embed(self, described: Description) -> dict[str, Any]:
        """Embeddings and whether each object resembles the training objects."""
        return {
            "model": self.model.teacher.name,
            "embeddings": np.round(described.embeddings.astype(np.float64), 7).tolist(),
            "in_distribution": self.model.is_in_distribution(described.features).tolist(),
        }

    def _asked(self, labels: str | None) -> str | None:
        return self.labels if labels is None else labels


def without_arrays(document: dict[str, Any]) -> dict[str, Any]:
    """The document of ``Instances3D.to_json`` without indices and embeddings, which are most of its length."""
    long = ("indices", "embedding")
    objects = [{k: v for k, v in item.items() if k not in long} for item in document["objects"]]
    return {**document, "objects": objects}
