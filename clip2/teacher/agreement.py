"""Does the crop show what the word says? Words that it does not show are dropped, the object keeps its picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically

AGREEMENT = "agreement.json"
UNJUDGED = ("object",)  # class-agnostic detectors call everything so, and no crop can deny it
_ROWS = 4096  # images compared with the vocabulary at a time


def disagrees(
    images: NDArray[np.floating],
    own: NDArray[np.int64],
    words: NDArray[np.float32],
    logit_scale: float,
    times_chance: float = 1.0,
) -> NDArray[np.bool_]:
    """Where a crop makes its word less likely than a guess would.

    The teacher's own softmax over all words of the set says how likely each is for a crop. A crop that says nothing
    gives every word 1/U; a word below ``times_chance``/U is one that the crop speaks against.

    Args:
        images: (n, D) unit rows.
        own: (n,) row of ``words`` that each is called by.
        words: (U, D) unit rows, the vocabulary.
        logit_scale: factor of the cosines before the softmax, :attr:`~clip2.teacher.Teacher.logit_scale`.
        times_chance: 1 = chance; more is stricter.

    Returns:
        (n,) bool.

    >>> words = np.eye(2, dtype=np.float32)
    >>> disagrees(words, np.array([0, 0]), words, logit_scale=10)
    array([False,  True])
    """
    result = np.zeros(len(images), bool)
    for start in range(0, len(images), _ROWS):
        span = slice(start, start + _ROWS)
        logits = logit_scale * (images[span].astype(np.float32) @ words.T)
        logits -= logits.max(axis=1, keepdims=True)
        likely = np.exp(logits)
        likely /= likely.sum(axis=1, keepdims=True)
        result[span] = likely[np.arange(len(likely)), own[span]] < times_chance / len(words)
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
    """Rows of the objects whose first word their crop speaks against; what has no crop or no word is not judged.

    The vocabulary is all first words of the set. Arguments as in :class:`~clip2.teacher.features.TripletFeatures`.
    """
    silent = {normalize_label(word) for word in UNJUDGED}
    named = np.array([normalize_label(text) not in silent for text in texts], bool)
    first = np.array([int(ids[0]) if len(ids) else -1 for ids in text_ids], np.int64)
    judged = np.flatnonzero(present & (first >= 0) & np.append(named, False)[first])
    vocabulary, own = np.unique(first[judged], return_inverse=True)
    if len(vocabulary) < 2:
        return np.zeros(0, np.int64)  # a single word is as likely as can be
    wrong = disagrees(image[judged], own, text_embeddings[vocabulary], logit_scale, times_chance)
    return judged[wrong]


@dataclass(frozen=True)
class Agreement:
    """Which objects of a set lost their words.

    Attributes:
        times_chance: how strict it was.
        shards: digest of the shards it belongs to.
        dropped: rows of the objects, in the order of the set.
    """

    times_chance: float
    shards: str
    dropped: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path, shards: str) -> Agreement | None:
        """Read a feature folder's; None: there is none, words are taken as they are.

        Raises:
            InputError: it cannot be read, or is of other shards.
        """
        path = folder / AGREEMENT
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                float(record["times_chance"]), str(record["shards"]), np.array(record["dropped"], np.int64)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"cannot be read ({error!r})", source=path, fix="run `clip2 embed` on it again"
            ) from None
        if found.shards != shards:
            raise InputError(
                "is of other shards", source=path, fix="run `clip2 embed --drop-disagreeing` again"
            )
        return found

    def save(self, folder: Path) -> None:
        """Write it in one step."""
        record = {
            "times_chance": self.times_chance,
            "shards": self.shards,
            "dropped": self.dropped.tolist(),
        }
        text = json.dumps(record) + "\n"
        write_atomically(folder / AGREEMENT, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def shards_digest(sha256: Sequence[str]) -> str:
    """One name for a list of shards."""
    return hashlib.sha256("\n".join(sha256).encode()).hexdigest()
