"""Agreement of crops and labels: objects whose crop contradicts their first text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.labels import normalize_label
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text

AGREEMENT = "agreement.json"
UNJUDGED = ("object",)  # the label of class-agnostic detectors fits every crop
_ROWS = 4096  # images compared with the vocabulary at once


def disagrees(
    images: NDArray[np.floating],
    own: NDArray[np.int64],
    texts: NDArray[np.float32],
    logit_scale: float,
    times_chance: float = 1.0,
) -> NDArray[np.bool_]:
    """Images whose text is less probable than ``times_chance``/U in the teacher's softmax over U texts.

    Args:
        images: (n, D) unit rows.
        own: (n,) row of ``texts`` that belongs to each image.
        texts: (U, D) unit rows, the vocabulary.
        logit_scale: factor of the cosines before the softmax, :attr:`~clip2.teacher.Teacher.logit_scale`.
        times_chance: 1 is chance; larger values are stricter.

    Returns:
        (n,) bool.

    >>> texts = np.eye(2, dtype=np.float32)
    >>> disagrees(texts, np.array([0, 0]), texts, logit_scale=10)
    array([False,  True])
    """
    result = np.zeros(len(images), bool)
    for start in range(0, len(images), _ROWS):
        span = slice(start, start + _ROWS)
        probability = softmax(logit_scale * (images[span].astype(np.float32) @ texts.T), axis=1)
        result[span] = probability[np.arange(len(probability)), own[span]] < times_chance / len(texts)
    return result


def find_disagreeing(
    image: NDArray[np.float16],
    present: NDArray[np.bool_],
    texts: Sequence[str],
    text_embeddings: NDArray[np.float32],
    text_ids: Sequence[NDArray[np.int64]],
    logit_scale: float,
    times_chance: float,
) -> NDArray[np.int64]:
    """Rows of the objects whose crop disagrees with their first text; objects without crop or text are not judged.

    The vocabulary is the set of all first texts. Arguments as in :class:`~clip2.teacher.features.TripletFeatures`.
    """
    named = np.array([normalize_label(text) not in UNJUDGED for text in texts], bool)
    first = np.array([int(ids[0]) if len(ids) else -1 for ids in text_ids], np.int64)
    judged = np.flatnonzero(present & (first >= 0) & np.append(named, False)[first])
    vocabulary, own = np.unique(first[judged], return_inverse=True)
    if len(vocabulary) < 2:
        return np.zeros(0, np.int64)  # a single text has probability 1
    wrong = disagrees(image[judged], own, text_embeddings[vocabulary], logit_scale, times_chance)
    return judged[wrong]


@dataclass(frozen=True)
class Agreement:
    """Record of the objects of a set that lost their texts.

    Attributes:
        times_chance: the threshold, in multiples of chance.
        shards: digest of the set's shards.
        dropped: rows of the objects, in the order of the set.
    """

    times_chance: float
    shards: str
    dropped: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path, shards: str) -> Agreement | None:
        """The record in a feature folder, or None.

        Raises:
            InputError: it cannot be read, or belongs to other shards.
        """
        path = folder / AGREEMENT
        if not path.is_file():
            return None
        try:
            record = parse_json(read_text(path))
            found = cls(
                float(record["times_chance"]), str(record["shards"]), np.array(record["dropped"], np.int64)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"cannot be read ({error!r})", source=path, fix="run `clip2 embed` on it again"
            ) from None
        if found.shards != shards:
            raise InputError(
                "belongs to other shards", source=path, fix="run `clip2 embed --drop-disagreeing` again"
            )
        return found

    def save(self, folder: Path) -> None:
        """Write the record; it appears whole or not at all."""
        record = {
            "times_chance": self.times_chance,
            "shards": self.shards,
            "dropped": self.dropped.tolist(),
        }
        text = json.dumps(record) + "\n"
        write_atomically(folder / AGREEMENT, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def shards_digest(sha256: Sequence[str]) -> str:
    """Hash of a list of shards."""
    return hashlib.sha256("\n".join(sha256).encode()).hexdigest()
