"""The vectors of one shard of triplets, from a CLIP model or from a text bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.teacher.feature_files import FeatureIndex, ShardFeatures, read_texts
from clip2.teacher.prompts import require_templates
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError
from data_prep.triplets import Triplet

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher

# Words repeat from shard to shard, whole sentences do not: past this many the memory of them is emptied.
_REMEMBERED_TEXTS = 100_000


class ShardEmbedder:
    """Turns triplets into vectors; exactly one of ``teacher`` and ``bank`` is given.

    Attributes:
        index: what its vectors are made with.

    Raises:
        InputError: neither or both given, or an unknown prompt set.
    """

    def __init__(
        self, teacher: Teacher | None, bank: TextBank | None, templates: str, batch_size: int
    ) -> None:
        self._teacher, self._bank = teacher, bank
        self._templates, self._batch_size = templates, batch_size
        self._remembered: dict[str, NDArray[np.float32]] = {}
        if batch_size < 1:
            raise InputError(f"is {batch_size}", field="batch_size", fix="give at least 1")
        if teacher is not None and bank is None:
            require_templates(templates)
            self.index = FeatureIndex(
                model=teacher.model,
                width=teacher.width,
                templates=templates,
                weights=teacher.fingerprint,
                bank=None,
                preprocessing=teacher.preprocess.config,
            )
        elif bank is not None and teacher is None:
            self.index = FeatureIndex(
                model=bank.model,
                width=bank.width,
                templates=bank.templates,
                weights=None,
                bank=bank.fingerprint(),
                preprocessing=None,
            )
        else:
            raise InputError(
                "give either a CLIP model or a text bank", field="teacher", fix="choose one of them"
            )

    def embed(self, triplets: Iterator[Triplet], shard_sha256: str) -> ShardFeatures:
        """Vectors of one shard; no more than a batch of crops is held at a time.

        An object with several crops gets the normalized mean of their vectors: what is only in one of them (a
        neighbor, a blur, an odd side) averages out.
        """
        spoken: list[tuple[str, ...]] = []
        counts: list[int] = []

        def crops() -> Iterator[NDArray[np.uint8]]:
            for triplet in triplets:
                spoken.append(triplet.texts)
                counts.append(len(triplet.crops))
                yield from triplet.crops

        image = None
        if self._teacher is not None:
            vectors = self._teacher.encode_images(crops(), self._batch_size)
            image = _mean_directions(vectors, np.array(counts, np.int64))
        else:
            for _ in crops():  # only the words are wanted
                pass
        first_spelling: dict[str, str] = {}
        for texts in spoken:
            for text in texts:
                first_spelling.setdefault(normalize_label(text), text)
        known = [word for word, text in first_spelling.items() if self._bank is None or text in self._bank]
        rows = {word: row for row, word in enumerate(known)}
        order = [list(dict.fromkeys(map(normalize_label, texts))) for texts in spoken]
        return ShardFeatures(
            shard_sha256=shard_sha256,
            image=image,
            crops=np.array(counts, np.int64) if image is not None else np.zeros(len(counts), np.int64),
            texts=tuple(first_spelling[word] for word in known),
            text_embeddings=self._vectors([first_spelling[word] for word in known]),
            text_ids=tuple(
                np.array([rows[word] for word in words if word in rows], np.int64) for words in order
            ),
            unknown=Counter(word for words in order for word in words if word not in rows),
        )

    def remember(self, feature_file: Path) -> None:
        """Take over the word vectors of a shard embedded earlier.

        A continued run then asks the model for the same words at the same moment as one that was never killed, and
        writes the same bytes.
        """
        if self._teacher is not None:
            texts, vectors = read_texts(feature_file)
            self._remembered.update(zip(map(normalize_label, texts), vectors, strict=True))

    def _vectors(self, texts: list[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.index.width), np.float32)
        if self._teacher is None:
            assert self._bank is not None
            return self._bank.lookup(texts)
        if len(self._remembered) > _REMEMBERED_TEXTS:
            self._remembered.clear()
        new = {word: text for text in texts if (word := normalize_label(text)) not in self._remembered}
        if new:
            vectors = self._teacher.encode_texts(list(new.values()), self._templates)
            self._remembered.update(zip(new, vectors, strict=True))
        return np.stack([self._remembered[normalize_label(text)] for text in texts])


def _mean_directions(vectors: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float16]:
    """Unit mean of each run of ``counts`` unit rows; a single row stays as it is, no row gives zeros."""
    owner = np.repeat(np.arange(len(counts)), counts)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float32)
    np.add.at(sums, owner, vectors)
    several = counts > 1
    length = np.linalg.norm(sums[several], axis=1, keepdims=True)
    sums[several] /= np.maximum(length, np.finfo(np.float32).tiny)
    return sums.astype(np.float16)
