"""Embeddings of an object set: streamed in chunks, cached by model and data, resumed after an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.objects import Cloud, ObjectSet, cloud_digest, draw_points
from clip2.evaluation.protocol import Settings
from clip2.evaluation.subject import Subject
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import array_bytes, read_array

# Objects read, embedded and cached at once: 100 MB of clouds of 10,000 colored points.
CHUNK = 256

Change = Callable[[Cloud, int], Cloud]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of the M objects of a set.

    Attributes:
        embeddings: (M, D) float32 unit rows.
        digests: M digests of the clouds, see :func:`~clip2.evaluation.objects.cloud_digest`.
        data_digest: hash of all clouds as they were embedded.
        points: (M,) points given to the model.
        distances: (M,) of the model's out-of-distribution detector, larger means stranger; None: it has none.
        cached: objects whose vectors came from the cache.
    """

    embeddings: NDArray[np.float32]
    digests: tuple[str, ...]
    data_digest: str
    points: NDArray[np.int64]
    cached: int
    distances: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class _ReadChunk:
    """Work of one process: read, sample and change the objects of a chunk."""

    objects: ObjectSet
    points: int | None
    seed: int
    color: bool
    change: Change | None
    size: int

    def __call__(self, start: int) -> list[tuple[Cloud, str]]:
        return [self._one(index) for index in range(start, min(start + self.size, len(self.objects)))]

    def _one(self, index: int) -> tuple[Cloud, str]:
        cloud = self.objects.read(index)
        digest = cloud_digest(cloud.points)
        if not self.color:
            cloud = replace(cloud, colors=None)
        drawn = draw_points(cloud, self.points, self.seed, index)
        return (drawn if self.change is None else self.change(drawn, index)), digest


def embed_objects(
    subject: Subject,
    objects: ObjectSet,
    settings: Settings,
    *,
    points: int | None = None,
    change: Change | None = None,
    doing: str = "",
) -> Embedded:
    """Embed all objects of a set.

    Args:
        subject: the model.
        objects: the set.
        settings: points, seed, color, cache, workers and progress.
        points: per object, before ``settings.points``; None: what the set prescribes.
        change: applied to each sampled cloud with its number: a corruption, a rotation.
        doing: for the progress; empty: the set's name.

    Raises:
        InputError: an object that cannot be read or holds NaN, or that lacks the color that the model needs.
    """
    if subject.model.config.colors_seen == "present" and not (objects.colored and settings.color):
        raise InputError(
            f"the model needs color; {objects.name} {'is left without (--color drop)' if objects.colored else 'has none'}",
            source=subject.name,
            field="color",
            fix="train with augmentation.color_drop above 0, or take another model",
        )
    count = points or settings.points or objects.points
    work = _ReadChunk(objects, count, settings.seed, settings.color, change, CHUNK)
    starts = list(range(0, len(objects), CHUNK))
    vectors: list[NDArray[np.float32]] = []
    digests: list[str] = []
    sizes: list[int] = []
    whole = hashlib.sha256()
    cached = 0
    for number, chunk in enumerate(_chunks(work, starts, settings.workers)):
        clouds = [cloud for cloud, _ in chunk]
        digests += [digest for _, digest in chunk]
        sizes += [len(cloud.points) for cloud in clouds]
        content = _content(clouds)
        whole.update(content)
        file = None if settings.cache is None else _file(settings.cache, subject.digest, content)
        found = None if file is None else _load(file, subject, len(clouds))
        if found is not None:
            cached += len(clouds)
        else:
            found = _described(subject, clouds)
            if file is not None:
                _save(file, found)
        vectors.append(found)
        settings.progress(doing or objects.name, min((number + 1) * CHUNK, len(objects)), len(objects))
    rows = np.concatenate(vectors)
    distances = None if subject.model.ood_detector is None else rows[:, -1]
    rows = rows if distances is None else np.ascontiguousarray(rows[:, :-1])
    return Embedded(rows, tuple(digests), whole.hexdigest()[:16], np.array(sizes), cached, distances)


def _described(subject: Subject, clouds: Sequence[Cloud]) -> NDArray[np.float32]:
    """(M, D) embeddings; with a detector its distance follows as one more column."""
    found = subject.model.describe([cloud.points for cloud in clouds], [cloud.colors for cloud in clouds])
    if subject.model.ood_detector is None:
        return found.embeddings
    return np.column_stack([found.embeddings, subject.model.ood_detector.distance(found.features)])


def _chunks(work: _ReadChunk, starts: Sequence[int], workers: int) -> Iterator[list[tuple[Cloud, str]]]:
    if workers == 1 or len(starts) == 1:
        return map(work, starts)
    from data_prep.scale.processes import Processes

    return Processes(min(workers, len(starts))).map(work, starts)


def _content(clouds: Sequence[Cloud]) -> bytes:
    """Hash of points and colors, exactly as the model gets them."""
    found = hashlib.sha256()
    for cloud in clouds:
        for array in (cloud.points, cloud.colors):
            found.update(b"-" if array is None else f"{array.dtype}{array.shape}".encode())
            found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return found.digest()


def _file(cache: Path, model: str, content: bytes) -> Path:
    return cache / model / f"{content.hex()[:32]}.npy"


def _load(file: Path, subject: Subject, count: int) -> NDArray[np.float32] | None:
    """What :func:`_described` gave for these clouds; None: it is not there, or damaged, and computed again."""
    try:
        found = read_array(file)
    except (OSError, ValueError):
        return None
    width = subject.model.config.teacher.width + (subject.model.ood_detector is not None)
    sound = found.dtype == np.float32 and found.shape == (count, width) and np.isfinite(found).all()
    return found if sound else None


def _save(file: Path, vectors: NDArray[np.float32]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda path: path.write_bytes(array_bytes(vectors)))
