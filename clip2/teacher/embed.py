"""Embedding of triplets: CLIP's vectors of all crops and texts of a folder, stored beside its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.preprocessing import NotAnObject, local_coordinates
from clip2.teacher.agreement import AGREEMENT, Agreement, find_disagreeing, shards_digest
from clip2.teacher.features import (
    FEATURES,
    CloudContents,
    FeatureIndex,
    ShardFeatures,
    feature_file,
    read_features,
    read_texts,
    source_shard,
)
from clip2.teacher.point_teacher import PointTeacher
from clip2.teacher.prompts import require_templates
from clip2.teacher.teacher import Teacher
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError
from data_prep.storage.files import require_writable
from data_prep.storage.lock import FolderLock
from data_prep.triplets import Triplet, TripletSet, open_triplets

# Labels repeat from shard to shard, captions do not: the cache is emptied at this size.
_CACHED_TEXTS = 100_000


@dataclass(frozen=True)
class EmbedReport:
    """Result of :func:`embed_triplets`.

    Attributes:
        folder: the feature folder.
        model, width: CLIP model and width of the vectors.
        objects: triplets in the folder.
        with_image: triplets with an image vector.
        crops: images embedded for them; an object may have several.
        disagreeing: triplets that lost their texts because their crop disagrees with them; None if not asked for.
        without_text: triplets without a text vector, which have no text term in training.
        texts: different texts with a vector.
        unknown_texts: text without a vector → number of its triplets.
        shards_computed, shards_kept: shards embedded now, and shards that already had features.
    """

    folder: str
    model: str
    width: int
    objects: int
    with_image: int
    crops: int
    disagreeing: int | None
    without_text: int
    texts: int
    unknown_texts: Mapping[str, int]
    shards_computed: int
    shards_kept: int


def embed_triplets(
    path: str | Path,
    teacher: Teacher | None = None,
    bank: TextBank | None = None,
    *,
    templates: str = "clip2",
    batch_size: int = 64,
    drop_disagreeing: float | None = None,
    points: PointTeacher | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Compute CLIP's vectors of all triplets of a folder and store them beside the shards.

    An interrupted call continues with the first shard without features; shards that were mined again are embedded
    again. A folder may hold several sets (models, prompts, banks).

    Args:
        path: the triplet folder.
        teacher: embeds crops and texts; give this or ``bank``; with ``points`` neither is needed.
        bank: vectors of texts; texts that it does not have get no vector, and crops are not embedded.
        templates: prompt set of the teacher, a key of ``PROMPTS``.
        batch_size: crops per forward pass.
        drop_disagreeing: drop the texts of objects whose crop makes their first text less probable than this many
            times chance (:func:`~clip2.teacher.agreement.disagrees`); 1 is a good value. None: keep all texts. The
            stored vectors are the same either way, so another value can be chosen later.
        points: a point encoder whose embeddings of the clouds become targets of training, beside the others; of the
            same CLIP model.
        progress: called with the number of triplets done and of all.

    Raises:
        InputError: neither or both of teacher and bank, an unknown prompt set, another process in the same folder, a
            shard that cannot be read, a folder that cannot be written.
        BadDatasetError: ``path`` is not a triplet folder.

    >>> from tempfile import TemporaryDirectory
    >>> from data_prep.triplets import write_triplets
    >>> triplet = Triplet("mug-0", np.zeros((8, 3), np.float32), None, np.zeros((9, 9, 3), np.uint8), ("mug",))
    >>> with TemporaryDirectory() as folder:
    ...     _ = write_triplets(folder, [triplet], source="example")
    ...     embed_triplets(folder, Teacher.load("mini")).with_image
    1
    """
    triplets = open_triplets(path)
    if drop_disagreeing is not None and teacher is None:
        raise InputError(
            "needs crops, and a text bank has none", field="drop_disagreeing", fix="give a CLIP model"
        )
    if drop_disagreeing is not None and not 0 < drop_disagreeing < float("inf"):
        raise InputError(
            f"is {drop_disagreeing}", field="drop_disagreeing", fix="give a number above 0, like 1"
        )
    require_writable(triplets.path / FEATURES)
    source = ShardEmbedder(teacher, bank, templates, batch_size, points)
    folder = triplets.path / FEATURES / source.index.slug
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        source.index.save(folder)
        (folder / AGREEMENT).unlink(missing_ok=True)  # of the last call
        _remove_strays(folder, triplets)
        computed = done = 0
        for shard in triplets.shards:
            file = feature_file(folder, shard.name)
            if source_shard(file) != shard.sha256:
                features = source.embed(
                    _counted(
                        triplets.iter_shard(shard.name, crops=teacher is not None),
                        done,
                        len(triplets),
                        progress,
                    ),
                    shard.sha256,
                )
                features.save(file)
                computed += 1
            else:
                source.remember(file)
            done += shard.count
            if progress:
                progress(done, len(triplets))
        if drop_disagreeing is not None and teacher is not None:
            _drop_disagreeing(folder, triplets, teacher.logit_scale, drop_disagreeing)
    finally:
        lock.release()
    result = read_features(folder, triplets)
    return EmbedReport(
        folder=str(folder),
        model=result.model,
        width=source.index.width,
        objects=len(result),
        with_image=int(result.image_present.sum()),
        crops=int(result.crops.sum()),
        disagreeing=None if drop_disagreeing is None else len(result.disagreeing),
        without_text=sum(len(ids) == 0 for ids in result.text_ids),
        texts=len(result.texts),
        unknown_texts=result.unknown_texts,
        shards_computed=computed,
        shards_kept=len(triplets.shards) - computed,
    )


class ShardEmbedder:
    """Vectors of triplets, shard by shard, from a CLIP model or a text bank.

    Attributes:
        index: origin of the vectors.

    Raises:
        InputError: neither or both of ``teacher`` and ``bank``, or an unknown prompt set.
    """

    def __init__(
        self,
        teacher: Teacher | None,
        bank: TextBank | None,
        templates: str,
        batch_size: int,
        points: PointTeacher | None = None,
    ) -> None:
        if points is not None:
            bank = points.bank_beside(teacher, bank)
            templates = points.templates or templates
        self._points = points
        self._teacher, self._bank = teacher, bank
        self._templates, self._batch_size = templates, batch_size
        self._cache: dict[str, NDArray[np.float32]] = {}
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
                points=points.origin if points else None,
            )
        elif bank is not None and teacher is None:
            self.index = FeatureIndex(
                model=bank.model,
                width=bank.width,
                templates=bank.templates,
                weights=None,
                bank=bank.fingerprint(),
                preprocessing=None,
                points=points.origin if points else None,
            )
        elif bank is None and points is not None:
            self.index = FeatureIndex(
                points.model,
                points.width,
                points.templates,
                weights=None,
                bank=None,
                preprocessing=None,
                points=points.origin,
            )
        else:
            raise InputError(
                "give either a CLIP model or a text bank", field="teacher", fix="choose one of them"
            )

    def embed(self, triplets: Iterator[Triplet], shard_sha256: str) -> ShardFeatures:
        """Features of one shard, with at most a batch of crops in memory.

        The image vector of an object with several crops is the normalized mean of theirs: a neighbor, blur or an odd
        side in one of them averages out.
        """
        all_texts: list[tuple[str, ...]] = []
        counts: list[int] = []
        points: list[int] = []
        colored: list[bool] = []
        problems: dict[int, str] = {}
        embedded: list[NDArray[np.float16]] = []
        waiting: list[Triplet] = []

        def crops() -> Iterator[NDArray[np.uint8]]:
            for triplet in triplets:
                all_texts.append(triplet.texts)
                counts.append(len(triplet.crops))
                try:
                    local_coordinates(triplet.points, triplet.colors, triplet.key)
                except NotAnObject as error:
                    problems[len(points)] = error.reason
                if self._points is not None:
                    waiting.append(triplet)
                    if len(waiting) == self._batch_size:
                        embedded.append(self._points.embed(waiting))
                        waiting.clear()
                points.append(len(triplet.points))
                colored.append(triplet.colors is not None)
                yield from triplet.crops

        image = None
        if self._teacher is not None:
            vectors = self._teacher.encode_images(crops(), self._batch_size)
            image = _mean_directions(vectors, np.array(counts, np.int64))
        else:
            for _ in crops():  # counts crops and collects texts
                pass
        if self._points is not None:
            embedded.append(self._points.embed(waiting))
        first_spelling: dict[str, str] = {}
        for texts in all_texts:
            for text in texts:
                first_spelling.setdefault(normalize_label(text), text)
        known = [key for key, text in first_spelling.items() if self._has_vector(text)]
        rows = {key: row for row, key in enumerate(known)}
        order = [list(dict.fromkeys(map(normalize_label, texts))) for texts in all_texts]
        return ShardFeatures(
            shard_sha256=shard_sha256,
            image=image,
            crops=np.array(counts, np.int64) if image is not None else np.zeros(len(counts), np.int64),
            texts=tuple(first_spelling[key] for key in known),
            text_embeddings=self._vectors([first_spelling[key] for key in known]),
            text_ids=tuple(np.array([rows[key] for key in keys if key in rows], np.int64) for keys in order),
            unknown=Counter(key for keys in order for key in keys if key not in rows),
            contents=CloudContents(np.array(points, np.int64), np.array(colored, bool), problems),
            point_embeddings=np.concatenate(embedded) if embedded else None,
        )

    def remember(self, feature_file: Path) -> None:
        """Cache the text vectors of a shard that was embedded earlier.

        A resumed run then sends the same texts in the same batches to the model as an uninterrupted one, and writes
        the same bytes.
        """
        if self._teacher is not None:
            texts, vectors = read_texts(feature_file)
            self._cache.update(zip(map(normalize_label, texts), vectors, strict=True))

    def _has_vector(self, text: str) -> bool:
        return self._teacher is not None or (self._bank is not None and text in self._bank)

    def _vectors(self, texts: list[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.index.width), np.float32)
        if self._teacher is None:
            assert self._bank is not None
            return self._bank.lookup(texts)
        if len(self._cache) > _CACHED_TEXTS:
            self._cache.clear()
        new = {key: text for text in texts if (key := normalize_label(text)) not in self._cache}
        if new:
            vectors = self._teacher.encode_texts(list(new.values()), self._templates)
            self._cache.update(zip(new, vectors, strict=True))
        return np.stack([self._cache[normalize_label(text)] for text in texts])


def _mean_directions(vectors: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float16]:
    """Unit mean of each run of ``counts`` unit rows; a single row stays unchanged, no row gives zeros."""
    owner = np.repeat(np.arange(len(counts)), counts)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float32)
    np.add.at(sums, owner, vectors)
    several = counts > 1
    length = np.linalg.norm(sums[several], axis=1, keepdims=True)
    sums[several] /= np.maximum(length, np.finfo(np.float32).tiny)
    return sums.astype(np.float16)


def _drop_disagreeing(folder: Path, triplets: TripletSet, logit_scale: float, times_chance: float) -> None:
    features = read_features(folder, triplets)
    assert features.image is not None
    dropped = find_disagreeing(
        features.image,
        features.image_present,
        features.texts,
        features.text_embeddings,
        features.text_ids,
        logit_scale,
        times_chance,
    )
    Agreement(times_chance, shards_digest([shard.sha256 for shard in triplets.shards]), dropped).save(folder)


def _remove_strays(folder: Path, triplets: TripletSet) -> None:
    """Delete half-written files of a killed run, and features of shards that no longer exist."""
    current = {feature_file(folder, shard.name).name for shard in triplets.shards}
    for file in folder.glob("*.safetensors"):
        if file.name not in current:
            file.unlink()
    for file in folder.glob(".*.part"):
        file.unlink()


def _counted(
    triplets: Iterator[Triplet], done: int, total: int, progress: Callable[[int, int], None] | None
) -> Iterator[Triplet]:
    for count, triplet in enumerate(triplets, start=done + 1):
        yield triplet
        if progress:
            progress(count, total)
