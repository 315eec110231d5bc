"""Base of models that embed objects: labels, scores and the out-of-distribution test, whatever runs the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.classification import Classification, zero_shot_classify
from clip2.model_config import ModelConfig, TeacherSpec
from clip2.ood.detector import OODDetector
from clip2.preprocessing import Preprocessing
from clip2.teacher.text_bank import TextBank
from clip2.teacher.text_source import TextSource, labels_and_vectors
from data_prep.errors import InputError


class Description(NamedTuple):
    """Vectors of B objects, independent of any label.

    Attributes:
        embeddings: (B, D) float32 unit rows, in the teacher's space.
        features: (B, W) float32, encoder output with the object size mixed in; input of the out-of-distribution
            detector.
    """

    embeddings: NDArray[np.float32]
    features: NDArray[np.float32]

    @classmethod
    def checked(cls, embeddings: NDArray[np.float32], features: NDArray[np.float32]) -> Description:
        """The vectors that an encoder gave.

        Raises:
            InputError: they are not finite, as damaged weights make them.
        """
        if not (np.isfinite(embeddings).all() and np.isfinite(features).all()):
            raise InputError(
                "gives vectors that are not finite",
                field="encoder",
                fix="its weights are damaged: copy them again",
            )
        return cls(embeddings, features)


class ObjectModel:
    """What torch and onnxruntime models have in common; subclasses implement `describe` and `logit_scale`.

    Attributes:
        config: encoder, preprocessing and teacher.
        text_bank: label vectors that travel with the model, or None.
        text: default source of label vectors; None if the model has none.
        ood_detector: objects that it rejects get the label ``unknown``; None: none is rejected.
    """

    config: ModelConfig
    text_bank: TextBank | None
    text: TextSource | None
    ood_detector: OODDetector | None

    def describe(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Description:
        """Embeddings and features of objects.

        Args:
            clouds: B arrays (n, 3) float, meters, z-up, one object each; also one (B, n, 3) array.
            colors: B arrays (n, 3) uint8 RGB, or None for clouds without color; None: no cloud has color. Ignored by
                models trained without color (``config.colors_seen``).
            batch_size: clouds per forward pass; None: chosen by the model.

        Raises:
            InputError: a cloud that is empty, not finite or of the wrong shape, or that lacks color although the model
                was trained on colored clouds only.
        """
        raise NotImplementedError

    @property
    def logit_scale(self) -> float:
        """Learned factor of the cosines before the softmax over labels."""
        raise NotImplementedError

    @property
    def preprocessing(self) -> Preprocessing:
        """Conversion of raw clouds to encoder input."""
        return self.config.preprocessing

    @property
    def teacher(self) -> TeacherSpec:
        """The CLIP model whose space the embeddings are in."""
        return self.config.teacher

    def classify(
        self,
        clouds: Sequence[NDArray[np.floating]],
        labels: str | Iterable[str] | None = None,
        text: TextSource | None = None,
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Classification:
        """Label objects with the best of any list of labels.

        Args:
            clouds, colors, batch_size: as in :meth:`describe`.
            labels: K labels, or one string of labels separated by commas; None: all labels of the bank.
            text: source of the label vectors; None: the model's own :attr:`text`.

        Raises:
            InputError: no labels, a label twice, a label without a vector, vectors of another CLIP model.
        """
        names, vectors = labels_and_vectors(self.text_source(text), labels)
        return self.name(self.describe(clouds, colors, batch_size), names, vectors)

    def name(
        self, described: Description, labels: tuple[str, ...], vectors: NDArray[np.float32]
    ) -> Classification:
        """Label objects that are already described.

        Args:
            described: as :meth:`describe` returns it, of B objects.
            labels: K labels.
            vectors: (K, D), of the labels.
        """
        scores = zero_shot_classify(described.embeddings, vectors, self.logit_scale)
        known = self.is_in_distribution(described.features)
        return Classification(labels, scores, described.embeddings, known)

    def is_in_distribution(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(B,) bool, whether objects resemble the training objects; all True without a detector.

        Args:
            features: (B, W) from :meth:`describe`.
        """
        if self.ood_detector is None:
            return np.ones(len(features), dtype=bool)
        return self.ood_detector.is_in_distribution(features)

    def text_source(self, text: TextSource | None = None) -> TextSource:
        """``text`` after checking that it matches this model; None: the model's own :attr:`text`.

        Raises:
            InputError: vectors of another CLIP model or prompt set, or no source at all.
        """
        if text is not None:
            return self.teacher.require(text)
        if self.text is None:
            raise InputError(
                "the model has no label vectors", field="text", fix="give a TextBank or a Teacher as text="
            )
        return self.text

    def _usable_colors(
        self, count: int, colors: Sequence[NDArray[np.uint8] | None] | None
    ) -> Sequence[NDArray[np.uint8] | None] | None:
        """The colors that the network was trained to read."""
        if self.config.colors_seen == "absent":
            return None
        if self.config.colors_seen == "present":
            bare = [i for i in range(count) if colors is None or (i < len(colors) and colors[i] is None)]
            if bare:
                raise InputError(
                    f"are missing for {len(bare)} of {count} clouds, the model was trained on colored clouds only",
                    source=f"cloud {bare[0]}",
                    field="colors",
                    fix="give colors, or train with augmentation.color_drop above 0",
                )
        return colors
