"""Zero-shot scores of unseen objects: the point encoder of the run, its teacher, and mini-points."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clip2
from clip2.checkpoint import CONFIG_FILE, MINI_POINTS, MINI_POINTS_FOLDER
from clip2.evaluation import ZeroShotReport, score_zero_shot
from clip2.model import Clip2Model
from clip2.teacher import Teacher, load_features
from clip2.world.points.data import is_clear, read_triplets
from data_prep.triplets import open_triplets
from data_prep.world import Setting, list_categories

SCORE_CARD = "score_card.json"
EVERYTHING = "all"


@dataclass(frozen=True)
class UnseenObjects:
    """B objects of unseen scenes, each clearly visible (:func:`~clip2.world.points.data.is_clear`).

    The shipped model's score card uses the same rule, so the scores are comparable.

    Attributes:
        clouds, colors: B arrays (n, 3) meters, and uint8 or None.
        pictures: (B, D) float32 unit rows, the teacher's vectors of their crops.
        names: B true labels.
        settings: B settings.
    """

    clouds: list[NDArray[np.float32]]
    colors: list[NDArray[np.uint8] | None]
    pictures: NDArray[np.float32]
    names: list[str]
    settings: list[Setting]

    @classmethod
    def load(cls, folders: dict[Setting, Path], model: str) -> UnseenObjects:
        """Read mined folders with the features of ``model`` beside them."""
        objects = cls([], [], np.zeros((0, 0), np.float32), [], [])
        pictures = []
        for setting, folder in folders.items():
            features = load_features(folder, model)
            assert features.image is not None
            for row, triplet in enumerate(read_triplets(open_triplets(folder))):
                if not is_clear(triplet.provenance.attributes):
                    continue
                pictures.append(features.image[row].astype(np.float32))
                objects.clouds.append(triplet.points)
                objects.colors.append(triplet.colors)
                objects.names.append(triplet.texts[0])
                objects.settings.append(setting)
        return cls(objects.clouds, objects.colors, np.stack(pictures), objects.names, objects.settings)


@dataclass(frozen=True)
class Naming:
    """Scores of the objects of one setting, or of all.

    Attributes:
        words: number of labels to choose from.
        objects: number of objects.
        commonest: share of the most frequent label, the accuracy of always answering it.
        encoder: the point encoder of this run.
        teacher: the teacher, from the crops of the same objects.
        shipped: the model that ships with the package; None if it has another teacher.
    """

    words: int
    objects: int
    commonest: float
    encoder: ZeroShotReport
    teacher: ZeroShotReport
    shipped: ZeroShotReport | None

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        rows = {"student": self.encoder, "teacher": self.teacher, "shipped": self.shipped}
        return {
            "objects": self.objects,
            "words": self.words,
            "chance": 1 / self.words,
            "commonest_word": self.commonest,
            **{
                name: {"top1": row.top1, "top5": row.top5, "top1_per_word": row.class_mean}
                for name, row in rows.items()
                if row is not None
            },
        }


def score(model: Clip2Model, teacher: Teacher, folders: dict[Setting, Path]) -> dict[str, Naming]:
    """Name unseen objects among all labels of the world, and those of each setting among its own labels.

    Args:
        model: the point encoder of this run.
        teacher: embeds the labels; its features of ``folders`` must exist.
        folders: mined with exact boxes, so that the encoder is measured and not a detector.

    Returns:
        By setting, and under ``EVERYTHING`` all together.
    """
    objects = UnseenObjects.load(folders, teacher.model)
    vectors = {"encoder": model.encode(objects.clouds, objects.colors).numpy(), "teacher": objects.pictures}
    if shipped := shipped_model(teacher):
        vectors["shipped"] = shipped.encode(objects.clouds, objects.colors).numpy()
    return {
        name: _naming(list(words), np.array(rows), objects.names, vectors, teacher)
        for name, words, rows in _groups(objects)
    }


def shipped_model(teacher: Teacher) -> Clip2Model | None:
    """``mini-points``, if it is installed and has the same teacher."""
    if not (MINI_POINTS_FOLDER / CONFIG_FILE).is_file():
        return None
    model = clip2.load(MINI_POINTS)
    return model if model.teacher.name == teacher.model else None


def shipped_card() -> dict[str, Any]:
    """Score card of ``mini-points``; empty if there is none."""
    path = MINI_POINTS_FOLDER / SCORE_CARD
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def card(naming: dict[str, Naming]) -> dict[str, float]:
    """The score card of this run, flat, in the names that the shipped one uses where they mean the same."""
    whole = naming[EVERYTHING]
    figures: dict[str, float] = {
        "seen": whole.encoder.top1,
        "teacher_seen": whole.teacher.top1,
        "of_teacher": whole.encoder.top1 / whole.teacher.top1 if whole.teacher.top1 else 0.0,
        "top5": whole.encoder.top5,
        "top1_per_word": whole.encoder.class_mean,
    }
    figures |= {f"top1_{name}": each.encoder.top1 for name, each in naming.items() if name != EVERYTHING}
    return {key: round(value, 4) for key, value in figures.items()} | {"seen_objects": whole.objects}


def _groups(objects: UnseenObjects) -> Iterator[tuple[str, list[str], list[int]]]:
    yield EVERYTHING, list_categories(), list(range(len(objects.names)))
    for setting in dict.fromkeys(objects.settings):
        rows = [i for i, where in enumerate(objects.settings) if where == setting]
        yield setting, list_categories(setting), rows


def _naming(
    words: list[str],
    rows: NDArray[np.int64],
    names: Sequence[str],
    vectors: dict[str, NDArray[np.float32]],
    teacher: Teacher,
) -> Naming:
    truth = np.array([words.index(names[i]) for i in rows])
    text = teacher.embed_labels(words)
    reports = {name: score_zero_shot(each[rows] @ text.T, truth, words) for name, each in vectors.items()}
    return Naming(
        words=len(words),
        objects=len(rows),
        commonest=float(np.bincount(truth).max() / len(truth)),
        encoder=reports["encoder"],
        teacher=reports["teacher"],
        shipped=reports.get("shipped"),
    )
