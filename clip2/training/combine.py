"""Several training sets as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.model_config import TeacherSpec
from clip2.training.clouds import Clouds
from clip2.training.dataset import TrainingSet
from data_prep.errors import BadDatasetError

# One word embedded twice by one CLIP differs by rounding (batch sizes, devices), not by more.
_SAME_VECTOR = 1e-4
_EMBED_ALIKE = "run clip2 embed on both with one CLIP model and the same --templates, or with one bank"


def combine(packs: Sequence[TrainingSet], names: Sequence[str]) -> TrainingSet:
    """Several sets as one; words that are spelled alike become one.

    Args:
        packs: the sets, at least one.
        names: what to call each in an error.

    Raises:
        BadDatasetError: vectors of different CLIP models or prompts, or of one word that differ.
    """
    first = packs[0]
    if len(packs) == 1:
        return first
    teacher = _common_teacher([one.teacher for one in packs], names)
    row_of: dict[str, int] = {}
    texts: list[str] = []
    found_in: list[str] = []  # the name of the set that gave each word its vector
    vectors, owns, frames = [], [], []
    width = max(one.own_texts.shape[1] for one in packs)
    any_image = any(one.images is not None for one in packs)
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
                    f"has another vector than in {found_in[row_of[key]]}",
                    source=name,
                    field=repr(text),
                    fix=_EMBED_ALIKE,
                )
            rows[row] = row_of[key]
        padding = ((0, 0), (0, width - one.own_texts.shape[1]))
        owns.append(rows[np.pad(one.own_texts, padding, constant_values=-1)])
        frames.append(one.frames + next_frame)
        next_frame += int(one.frames.max()) + 1
    shape = (teacher.width,)
    return TrainingSet(
        teacher=teacher,
        clouds=Clouds.join([one.clouds for one in packs]),
        has_color=np.concatenate([one.has_color for one in packs]),
        frames=np.concatenate(frames),
        texts=tuple(texts),
        text_vectors=np.array(vectors, np.float32).reshape(-1, teacher.width),
        own_texts=np.concatenate(owns),
        images=np.concatenate([_or_zeros(one.images, (len(one), *shape), np.float16) for one in packs])
        if any_image
        else None,
        image_present=np.concatenate([one.image_present for one in packs]),
        left_out=sum((Counter(one.left_out) for one in packs), Counter()),
    )


def _common_teacher(teachers: Sequence[TeacherSpec], names: Sequence[str]) -> TeacherSpec:
    """The CLIP model of all sets; prompts count only where a set says them."""
    first = teachers[0]
    for teacher, name in zip(teachers, names, strict=True):
        if (teacher.name, teacher.width) != (first.name, first.width):
            raise BadDatasetError(
                f"its features are of {teacher.name} ({teacher.width} wide), "
                f"those of {names[0]} of {first.name} ({first.width} wide)",
                source=name,
                fix=_EMBED_ALIKE,
            )
    said = [
        (teacher.templates, name) for teacher, name in zip(teachers, names, strict=True) if teacher.templates
    ]
    for templates, name in said:
        if templates != said[0][0]:
            raise BadDatasetError(
                f"its words are in the prompts {templates!r}, those of {said[0][1]} in {said[0][0]!r}",
                source=name,
                field="templates",
                fix=_EMBED_ALIKE,
            )
    return first if not said else first.model_copy(update={"templates": said[0][0]})


def _or_zeros(array: NDArray | None, shape: tuple[int, ...], dtype: type) -> NDArray:
    return np.zeros(shape, dtype) if array is None else array
