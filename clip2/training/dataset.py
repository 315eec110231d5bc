"""Training set: objects and their target vectors in a few contiguous arrays."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.model_config import TeacherSpec
from clip2.training.clouds import Clouds
from data_prep.errors import BadDatasetError

# One text embedded twice by one CLIP model differs by rounding (batch sizes, devices), not by more.
_SAME_VECTOR = 1e-4
_EMBED_ALIKE = "run clip2 embed on both with one CLIP model and the same --templates, or with one bank"


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """n objects with their frozen target vectors.

    Attributes:
        clouds: points in meters, z-up, in random order within an object.
        has_color: (n,) bool.
        frames: (n,) int64; objects of one frame of one scan share a number.
        texts: U labels and captions, without those that name nothing ("object"); may be empty if every object has an
            image vector.
        text_vectors: (U, D) float32 unit rows.
        own_texts: (n, M) int64 rows of ``texts``, best first, padded with -1; an object may have an image only.
        images: (n, D) float16 unit rows of the crops; None: no object has one.
        image_present: (n,) bool.
        teacher: the CLIP model of all vectors.
        triplets: (n,) int64 number of each object's triplet in its folder; the single views of a triplet share it.
        left_out: reason → number of objects left out for it.
        point_targets: (n, D) float16 unit rows, embeddings of a point teacher, zeros where it has none; None: no object
            has one.
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
    triplets: NDArray[np.int64]
    left_out: Mapping[str, int] = field(default_factory=dict)
    point_targets: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.has_color)

    def cloud(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Points (k, 3) float32 meters and colors (k, 3) uint8, or None, of one object."""
        points, colors = self.clouds.cloud(i)
        return points, colors if self.has_color[i] else None

    def select(self, rows: NDArray[np.int64]) -> TrainingSet:
        """The objects ``rows`` (m,), in that order; all texts stay."""
        return replace(
            self,
            clouds=self.clouds.select(rows),
            has_color=self.has_color[rows],
            frames=self.frames[rows],
            own_texts=self.own_texts[rows],
            images=None if self.images is None else self.images[rows],
            image_present=self.image_present[rows],
            triplets=self.triplets[rows],
            point_targets=None if self.point_targets is None else self.point_targets[rows],
        )

    def without_texts(self, texts: Sequence[str]) -> TrainingSet:
        """The same objects without these texts, as targets and as negatives."""
        gone = {normalize_label(text) for text in texts}
        keep = [row for row, text in enumerate(self.texts) if normalize_label(text) not in gone]
        new_row = np.full(len(self.texts) + 1, -1, np.int64)
        new_row[keep] = np.arange(len(keep))
        own = new_row[self.own_texts]
        # Keep the order, padding last.
        own = np.take_along_axis(own, np.argsort(own < 0, axis=1, kind="stable"), axis=1)
        return replace(
            self,
            texts=tuple(self.texts[row] for row in keep),
            text_vectors=self.text_vectors[keep],
            own_texts=own,
        )

    def split(self, hold_out: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train on and rows of held-out frames; whole frames, at least one if ``hold_out`` is above 0.

        Raises:
            BadDatasetError: ``hold_out`` is above 0, but there is only one frame.
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
        """Hash of everything that training reads; a resumed run requires the same."""
        digest = hashlib.sha256(repr((self.teacher, self.texts)).encode())
        points, colors, *spans = self.clouds.fingerprint()
        arrays = (points, colors, self.has_color, *spans, self.frames, self.own_texts, self.text_vectors)
        for array in (*arrays, self.images, self.image_present):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
        if self.point_targets is not None:  # sets without them keep the fingerprint of earlier releases
            digest.update(np.ascontiguousarray(self.point_targets).data)
        return digest.hexdigest()


def combine(packs: Sequence[TrainingSet], names: Sequence[str]) -> TrainingSet:
    """Several sets as one; texts that are spelled alike become one.

    Args:
        packs: the sets, at least one.
        names: of the sets, for error messages.

    Raises:
        BadDatasetError: vectors come from different CLIP models or prompts, or one text has two vectors.
    """
    first = packs[0]
    if len(packs) == 1:
        return first
    teacher = _common_teacher([one.teacher for one in packs], names)
    row_of: dict[str, int] = {}
    texts: list[str] = []
    found_in: list[str] = []  # the set that each vector comes from
    vectors, owns, frames = [], [], []
    width = max(one.own_texts.shape[1] for one in packs)
    next_frame = 0
    for one, name in zip(packs, names, strict=True):
        rows = np.empty(len(one.texts) + 1, np.int64)
        rows[-1] = -1  # so that the padding, -1, stays -1
        for row, text in enumerate(one.texts):
            key = normalize_label(text)
            if key not in row_of:
                row_of[key] = len(texts)
                texts.append(text)
                vectors.append(one.text_vectors[row])
                found_in.append(name)
            elif np.abs(vectors[row_of[key]] - one.text_vectors[row]).max() > _SAME_VECTOR:
                raise BadDatasetError(
                    f"has a different vector in {found_in[row_of[key]]}",
                    source=name,
                    field=repr(text),
                    fix=_EMBED_ALIKE,
                )
            rows[row] = row_of[key]
        padding = ((0, 0), (0, width - one.own_texts.shape[1]))
        owns.append(rows[np.pad(one.own_texts, padding, constant_values=-1)])
        frames.append(one.frames + next_frame)
        next_frame += int(one.frames.max()) + 1
    return TrainingSet(
        teacher=teacher,
        clouds=Clouds.join([one.clouds for one in packs]),
        has_color=np.concatenate([one.has_color for one in packs]),
        frames=np.concatenate(frames),
        texts=tuple(texts),
        text_vectors=np.array(vectors, np.float32).reshape(-1, teacher.width),
        own_texts=np.concatenate(owns),
        images=_joined([one.images for one in packs], [len(one) for one in packs], teacher.width),
        image_present=np.concatenate([one.image_present for one in packs]),
        triplets=np.concatenate([one.triplets for one in packs]),
        left_out=sum((Counter(one.left_out) for one in packs), Counter()),
        point_targets=_joined(
            [one.point_targets for one in packs], [len(one) for one in packs], teacher.width
        ),
    )


def _joined(
    parts: Sequence[NDArray[np.float16] | None], counts: Sequence[int], width: int
) -> NDArray[np.float16] | None:
    """Vectors of all sets, zeros for a set without them; None if none has them."""
    if all(part is None for part in parts):
        return None
    return np.concatenate(
        [
            np.zeros((count, width), np.float16) if part is None else part
            for part, count in zip(parts, counts, strict=True)
        ]
    )


def _common_teacher(teachers: Sequence[TeacherSpec], names: Sequence[str]) -> TeacherSpec:
    """CLIP model of all sets; sets without a recorded prompt set agree with any."""
    first = teachers[0]
    for teacher, name in zip(teachers, names, strict=True):
        if (teacher.name, teacher.width) != (first.name, first.width):
            raise BadDatasetError(
                f"has features of {teacher.name} ({teacher.width} wide), "
                f"{names[0]} of {first.name} ({first.width} wide)",
                source=name,
                fix=_EMBED_ALIKE,
            )
    said = [
        (teacher.templates, name) for teacher, name in zip(teachers, names, strict=True) if teacher.templates
    ]
    for templates, name in said:
        if templates != said[0][0]:
            raise BadDatasetError(
                f"was embedded with the prompts {templates!r}, {said[0][1]} with {said[0][0]!r}",
                source=name,
                field="templates",
                fix=_EMBED_ALIKE,
            )
    return first if not said else first.model_copy(update={"templates": said[0][0]})
