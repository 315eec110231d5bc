"""Objects and the vectors they should land on, packed into a few contiguous arrays."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.model_config import TeacherSpec
from clip2.preprocessing import NotAnObject, local_coordinates
from clip2.sampling_order import sampling_order
from clip2.training.clouds import Clouds
from data_prep.errors import BadDatasetError

# What class-agnostic detectors (SAM and others) call everything they find. It is true of all things and says nothing.
NAMELESS = ("object",)
_NO_WORD = "neither a picture nor a word with a vector"
_WORDS_NAME_NOTHING = "no picture, and no word that names anything"


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """n objects with the frozen vectors they should land on.

    Attributes:
        clouds: their points, meters, z-up; within an object in random order.
        has_color: (n,) bool.
        frames: (n,) int64, objects of one frame of one scan share a number.
        texts: U words, at least one unless every object has a picture; none that names nothing.
        text_vectors: (U, D) float32 unit rows.
        own_texts: (n, M) int64 into ``texts``, best first, padded with -1; an object may have a picture only.
        images: (n, D) float16 unit rows, or None: no object has a picture.
        image_present: (n,) bool.
        teacher: the CLIP model all vectors come from.
        left_out: why objects were left out → how many.
    """

    clouds: Clouds
    has_color: NDArray[np.bool_]
    frames: NDArray[np.int64]
    texts: tuple[str, ...]
    text_vectors: NDArray[np.float32]
    own_texts: NDArray[np.int64]
    images: NDArray[np.float16] | None
    image_present: NDArray[np.bool_]
    teacher: TeacherSpec
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.has_color)

    def cloud(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Points (n, 3) and colors of one object."""
        points, colors = self.clouds.cloud(i)
        return points, colors if self.has_color[i] else None

    def select(self, rows: NDArray[np.int64]) -> TrainingSet:
        """Some of the objects (m,), in that order; all words stay."""
        return replace(
            self,
            clouds=self.clouds.select(rows),
            has_color=self.has_color[rows],
            frames=self.frames[rows],
            own_texts=self.own_texts[rows],
            images=None if self.images is None else self.images[rows],
            image_present=self.image_present[rows],
        )

    def without_words(self, words: Sequence[str]) -> TrainingSet:
        """The same objects, none of which may be called one of these words, nor contrasted with them."""
        gone = {normalize_label(word) for word in words}
        keep = [row for row, text in enumerate(self.texts) if normalize_label(text) not in gone]
        new_row = np.full(len(self.texts) + 1, -1, np.int64)
        new_row[keep] = np.arange(len(keep))
        own = new_row[self.own_texts]
        # Best first, padding last.
        own = np.take_along_axis(own, np.argsort(own < 0, axis=1, kind="stable"), axis=1)
        return replace(
            self,
            texts=tuple(self.texts[row] for row in keep),
            text_vectors=self.text_vectors[keep],
            own_texts=own,
        )

    def split(self, hold_out: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Objects to train on and objects of held-out frames; whole frames, at least one where any is asked for.

        Raises:
            BadDatasetError: a share is asked for but there is only one frame.
        """
        frames = np.unique(self.frames)
        if hold_out == 0:
            return np.arange(len(self)), np.arange(0)
        if len(frames) < 2:
            raise BadDatasetError(
                "all objects come from one frame", field="data.hold_out", fix="set it to 0 or add frames"
            )
        count = min(max(1, round(hold_out * len(frames))), len(frames) - 1)
        held = np.random.default_rng([seed, 0x401D]).permutation(frames)[:count]
        mask = np.isin(self.frames, held)
        return np.flatnonzero(~mask), np.flatnonzero(mask)

    def fingerprint(self) -> str:
        """Hash of everything training sees; a resumed run must find the same."""
        digest = hashlib.sha256(repr((self.teacher, self.texts)).encode())
        points, colors, *spans = self.clouds.fingerprint()
        arrays = (points, colors, self.has_color, *spans, self.frames, self.own_texts, self.text_vectors)
        for array in (*arrays, self.images, self.image_present):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()


def pack(
    objects: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8] | None]],
    own_texts: Sequence[Sequence[int] | NDArray[np.int64]],
    texts: Sequence[str],
    text_vectors: NDArray[np.float32],
    model: str,
    images: NDArray[np.float16] | None = None,
    image_present: NDArray[np.bool_] | None = None,
    frames: Sequence[int] | None = None,
    max_points: int = 4096,
    source: str | Path = "objects",
    templates: str | None = None,
    nameless: Sequence[str] = NAMELESS,
) -> TrainingSet:
    """A training set from arrays in memory, without a triplet folder.

    Args:
        objects: n pairs of points (k, 3) float32 meters z-up and colors (k, 3) uint8 or None.
        own_texts: for each object the rows of ``texts`` true of it, best first.
        texts, text_vectors: U words and their (U, D) float32 unit vectors.
        model: the CLIP model of the vectors.
        images, image_present: (n, D) and (n,) bool; or both None.
        frames: frame number of each object; None: every object is a frame of its own.
        max_points: points kept per object.
        source: what to call it all in an error.
        templates: prompt set of the text vectors; None: not known.
        nameless: words that name nothing: they are no targets and no negatives of the text term, and an object that
            has no other word teaches by its picture alone, or is left out if it has none.

    Raises:
        BadDatasetError: nothing to learn from.
    """
    found = [
        sample_object(points, color, max_points, f"object {i}") for i, (points, color) in enumerate(objects)
    ]
    return with_words(
        Clouds.gather([points for points, _, _ in found], [colors for _, colors, _ in found]),
        np.array([colors is not None for _, colors, _ in found]),
        [problem for _, _, problem in found],
        frames,
        Words(own_texts, texts, text_vectors, model, templates, nameless),
        images,
        image_present,
        source,
    )


@dataclass(frozen=True, eq=False)
class Words:
    """What n objects may be called; attributes as the arguments of :func:`pack`."""

    own: Sequence[Sequence[int] | NDArray[np.int64]]
    texts: Sequence[str]
    vectors: NDArray[np.float32]
    model: str
    templates: str | None = None
    nameless: Sequence[str] = NAMELESS


def sample_object(
    points: NDArray[np.float32], colors: NDArray[np.uint8] | None, max_points: int, name: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None, str]:
    """What training keeps of one object: points and colors in random order, and why it keeps nothing.

    The first m of its points are what it would keep with ``max_points=m``.
    """
    try:
        local = local_coordinates(points, colors, name=name)
    except NotAnObject as error:
        return np.zeros((0, 3), np.float32), None, error.reason
    order = sampling_order(local, colors, max_points)
    return points[order], None if colors is None else colors[order], ""


def with_words(
    clouds: Clouds,
    has_color: NDArray[np.bool_],
    problems: Sequence[str],
    frames: Sequence[int] | NDArray[np.int64] | None,
    words: Words,
    images: NDArray[np.float16] | None,
    image_present: NDArray[np.bool_] | None,
    source: str | Path,
) -> TrainingSet:
    """A training set from points that are packed already; arguments as of :func:`pack`.

    Args:
        clouds, has_color: n objects.
        problems: why each of them cannot be learned from; empty: it can.
    """
    texts, own_texts = words.texts, words.own
    left_out: Counter[str] = Counter()
    silent = {normalize_label(word) for word in words.nameless}
    names = [normalize_label(text) not in silent for text in texts]
    kept = []
    for i, problem in enumerate(problems):
        pictured = image_present is not None and bool(image_present[i])
        if not pictured and not any(names[int(row)] for row in own_texts[i]):
            left_out[_WORDS_NAME_NOTHING if len(own_texts[i]) else _NO_WORD] += 1
        elif problem:
            left_out[problem] += 1
        else:
            kept.append(i)
    if not kept:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in left_out.items())
        raise BadDatasetError(
            f"no object to learn from ({reasons or 'none given'})", source=source, field="triplets"
        )
    # Two spellings of one word are one word, as everywhere else.
    row_of: dict[str, int] = {}
    merged = [row_of.setdefault(normalize_label(text), row) for row, text in enumerate(texts)]
    first_rows = [row for row in sorted(set(row_of.values())) if names[row]]
    new_row = {row: position for position, row in enumerate(first_rows)}
    own = [
        list(dict.fromkeys(new_row[merged[int(row)]] for row in own_texts[i] if names[int(row)]))
        for i in kept
    ]
    padded = np.full((len(kept), max(1, *map(len, own))), -1, dtype=np.int64)
    for i, rows in enumerate(own):
        padded[i, : len(rows)] = rows
    present = np.zeros(len(kept), dtype=bool)
    if images is not None:
        present = image_present[kept] if image_present is not None else present
    has_images = bool(present.any())
    return TrainingSet(
        clouds=clouds.select(np.array(kept)),
        has_color=has_color[kept],
        frames=np.asarray(kept if frames is None else [frames[i] for i in kept], dtype=np.int64),
        texts=tuple(texts[row] for row in first_rows),
        text_vectors=np.ascontiguousarray(words.vectors[first_rows], dtype=np.float32),
        own_texts=padded,
        images=images[kept].astype(np.float16) if has_images and images is not None else None,
        image_present=present,
        teacher=TeacherSpec(name=words.model, width=words.vectors.shape[1], templates=words.templates),
        left_out=left_out,
    )
