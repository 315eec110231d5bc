"""Labels of image crops by CLIP: the zero-shot classification of arXiv 2103.00020."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.teacher.teacher import Teacher
from data_prep.detect.vocabulary import Vocabulary


class ClipCropNamer:
    """Names crops with the labels of a vocabulary. A :class:`data_prep.detect.named_masks.CropNamer`.

    The probabilities are CLIP's softmax over all phrases of the vocabulary, so that they depend on it: a crop of
    something that no label means gets the nearest one. Labels like ``wall`` and ``floor`` take up what surrounds
    objects.

    Args:
        teacher: the CLIP model.
        vocabulary: the labels.
    """

    def __init__(self, teacher: Teacher, vocabulary: Vocabulary) -> None:
        self._teacher, self._vocabulary = teacher, vocabulary
        self.labels: Sequence[str] = vocabulary.labels
        phrases, label_of = vocabulary.queries()
        self._vectors = teacher.encode_texts(phrases)
        self._label_of = np.asarray(label_of)

    def name(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Position in ``labels`` and probability of the best label of each crop (h, w, 3) uint8."""
        cosines = self._teacher.encode_images(crops) @ self._vectors.T
        of_phrases = softmax(self._teacher.logit_scale * cosines, axis=1)
        chances = np.zeros((len(of_phrases), len(self.labels)), np.float32)
        np.add.at(chances.T, self._label_of, of_phrases.T)
        best = chances.argmax(axis=1)
        return best, np.minimum(chances[np.arange(len(best)), best], 1)

    def settings(self) -> Mapping[str, Any]:
        """CLIP model, fingerprint of its weights, vocabulary."""
        return {
            "clip": self._teacher.model,
            "weights": self._teacher.fingerprint,
            "vocabulary": self._vocabulary.describe(),
        }
