"""What CLIP says about every triplet of a folder: computed once, kept beside the shards, read by training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.teacher.agreement import AGREEMENT, Agreement, find_disagreeing, shards_digest
from clip2.teacher.feature_files import FEATURES, INDEX, REPEAT, FeatureIndex, ShardFeatures, made_from
from clip2.teacher.model_names import canonical_model
from clip2.teacher.shard_embedder import ShardEmbedder
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError
from data_prep.storage.files import require_writable
from data_prep.storage.lock import FolderLock
from data_prep.triplets import Triplet, TripletSet, open_triplets

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher


@dataclass(frozen=True, eq=False)
class TripletFeatures:
    """CLIP's vectors for the n triplets of a folder, in the order of :func:`data_prep.triplets.open_triplets`.

    Attributes:
        model: canonical name of the CLIP model.
        image: (n, D) float16 unit rows, zeros where ``image_present`` is False; None: only words were embedded.
        crops: (n,) int64, how many crops each row of ``image`` is the mean of.
        texts: U words; spellings that differ by case, ``_`` or blanks are one word.
        text_embeddings: (U, D) float32 unit rows.
        text_ids: n int64 arrays of rows into ``texts``, best word first; empty where no word has a vector.
        templates: prompt set of the text vectors, or None: not known.
        unknown_texts: words without a vector → number of triplets that hold them.
        disagreeing: (m,) rows of the objects whose words were dropped because their crop speaks against them.
    """

    model: str
    image: NDArray[np.float16] | None
    crops: NDArray[np.int64]
    texts: tuple[str, ...]
    text_embeddings: NDArray[np.float32]
    text_ids: tuple[NDArray[np.int64], ...]
    templates: str | None = None
    unknown_texts: Mapping[str, int] = field(default_factory=dict)
    disagreeing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.text_ids)

    @property
    def image_present(self) -> NDArray[np.bool_]:
        """(n,) bool: the object has an image vector."""
        return self.crops > 0

    @property
    def width(self) -> int:
        """D, numbers per vector."""
        return self.text_embeddings.shape[1]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) bool: there is a word or an image to learn from."""
        return self.image_present | np.array([len(ids) > 0 for ids in self.text_ids], bool)


@dataclass(frozen=True)
class EmbedReport:
    """What :func:`embed_triplets` did.

    Attributes:
        folder: where the features lie.
        model, width: whose vectors they are.
        objects: triplets in the folder.
        with_image: triplets with an image vector.
        crops: images embedded for them; more than ``with_image`` where objects have several.
        disagreeing: triplets whose words were dropped because their crop speaks against them; None: not asked.
        without_text: triplets none of whose words has a vector; they teach nothing through words.
        texts: different words with a vector.
        unknown_texts: words without one → number of triplets that hold them.
        shards_computed, shards_kept: shards embedded now; shards whose features were there already.
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
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Compute the vectors of all triplets of a folder and keep them beside the shards.

    Killed and called again, it goes on with the first shard that has no features; shards that were mined again since
    are embedded again. Several sets (models, prompts, banks) live beside one another.

    Args:
        path: the triplet folder.
        teacher: embeds crops and words; give this or ``bank``.
        bank: gives the vectors of words; crops are left alone, words it does not have get no vector.
        templates: prompt set for the teacher, a key of ``PROMPTS``.
        batch_size: images per forward pass.
        drop_disagreeing: drop the words of objects whose crop makes their first word less likely than this many times
            chance (:func:`~clip2.teacher.agreement.disagrees`); 1 is a good value. They still teach by their picture.
            None: keep all words. Vectors are the same either way; it can be asked again with another value.
        progress: called with triplets done and triplets in all.

    Raises:
        InputError: neither or both of teacher and bank, an unknown prompt set, another process at work, a shard that
            cannot be read, a folder that cannot be written.
        BadDatasetError: ``path`` is not a triplet folder.
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
    source = ShardEmbedder(teacher, bank, templates, batch_size)
    folder = triplets.path / FEATURES / source.index.slug
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        source.index.save(folder)
        (folder / AGREEMENT).unlink(missing_ok=True)  # it is of the last run's shards and wish
        _remove_strays(folder, triplets)
        computed = done = 0
        for shard in triplets.shards:
            file = _feature_file(folder, shard.name)
            if made_from(file) != shard.sha256:
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
            _judge(folder, triplets, teacher.logit_scale, drop_disagreeing)
    finally:
        lock.release()
    result = _read(folder, triplets)
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


def load_features(path: str | Path, model: str | None = None) -> TripletFeatures:
    """Read the features of a triplet folder.

    Args:
        path: the triplet folder.
        model: which set: a CLIP model's name, or the name of a folder under ``features/``. Not needed when there is
            only one.

    Raises:
        InputError: no features, several that fit, or features that do not fit the shards of today.
        BadDatasetError: ``path`` is not a triplet folder.
    """
    triplets = open_triplets(path)
    folders = sorted(index.parent for index in (triplets.path / FEATURES).glob(f"*/{INDEX}"))
    if not folders:
        raise InputError("has no features", source=path, fix=f"run `clip2 embed {path} --clip NAME/TAG`")
    fitting = folders if model is None else [folder for folder in folders if _is_named(folder, model)]
    if len(fitting) != 1:
        names = ", ".join(folder.name for folder in fitting or folders)
        problem = (
            f"has {len(fitting)} sets of features"
            if fitting
            else f"has no features of {model!r}, only {names}"
        )
        raise InputError(problem, source=path, field=FEATURES, fix=f"name one of: {names}")
    return _read(fitting[0], triplets)


def _read(folder: Path, triplets: TripletSet) -> TripletFeatures:
    """Join the files of all shards, after making sure that each belongs to its shard of today."""
    index = FeatureIndex.load(folder)
    stale = [
        shard.name
        for shard in triplets.shards
        if made_from(_feature_file(folder, shard.name)) != shard.sha256
    ]
    if stale:
        raise InputError(
            f"does not fit the shards of today: {len(stale)} of {len(triplets.shards)} have no features or were "
            f"mined again since, first {stale[0]}",
            source=folder,
            fix=REPEAT,
        )
    parts = [ShardFeatures.load(_feature_file(folder, shard.name)) for shard in triplets.shards]
    rows: dict[str, int] = {}
    texts: list[str] = []
    vectors = [np.zeros((0, index.width), np.float32)]
    text_ids: list[NDArray[np.int64]] = []
    unknown: Counter[str] = Counter()
    for part in parts:
        words = [normalize_label(text) for text in part.texts]
        new = [position for position, word in enumerate(words) if word not in rows]
        for position in new:
            rows[words[position]] = len(texts)
            texts.append(part.texts[position])
        vectors.append(part.text_embeddings[new])
        joined = np.array([rows[word] for word in words], np.int64)
        text_ids.extend(joined[ids] for ids in part.text_ids)
        unknown.update(part.unknown)
    crops = np.concatenate([np.zeros(0, np.int64), *(part.crops for part in parts)])
    images = [part.image for part in parts if part.image is not None]
    image = np.concatenate([np.zeros((0, index.width), np.float16), *images])
    agreement = Agreement.load(folder, shards_digest([shard.sha256 for shard in triplets.shards]))
    dropped = np.zeros(0, np.int64) if agreement is None else agreement.dropped
    for row in dropped:
        text_ids[row] = np.zeros(0, np.int64)
    return TripletFeatures(
        model=index.model,
        image=None if index.preprocessing is None else image,
        crops=crops,
        texts=tuple(texts),
        text_embeddings=np.concatenate(vectors),
        text_ids=tuple(text_ids),
        templates=index.templates,
        unknown_texts=dict(unknown.most_common()),
        disagreeing=dropped,
    )


def _judge(folder: Path, triplets: TripletSet, logit_scale: float, times_chance: float) -> None:
    features = _read(folder, triplets)
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


def _feature_file(folder: Path, shard: str) -> Path:
    return folder / Path(shard).with_suffix(".safetensors").name


def _is_named(folder: Path, model: str) -> bool:
    return folder.name == model or FeatureIndex.load(folder).model == canonical_model(model)


def _remove_strays(folder: Path, triplets: TripletSet) -> None:
    """Half-written files of a killed run, and features of shards that are gone."""
    current = {_feature_file(folder, shard.name).name for shard in triplets.shards}
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
