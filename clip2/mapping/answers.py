"""Answers to query phrases: which objects of a map fit, and how well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.labels import parse_labels
from clip2.mapping.grammar import COLORS, Phrase, parse_phrase
from clip2.mapping.map_object import MapObject
from clip2.mapping.naming import Naming, Vectors
from data_prep.labels import normalize_label

_SUPPORT, _LIP = 0.08, 0.05  # m: height of what stands on something over it; overhang
_FOOT = 0.1  # m: what is lower is a foot and no board
_NEARBY = 0.5  # m: distance at which "near" is half true, or so
_CANDIDATE = 0.2  # least score among which a superlative chooses
_HUES = {
    "red": 0,
    "orange": 30,
    "yellow": 57,
    "green": 120,
    "blue": 225,
    "purple": 280,
    "pink": 330,
}  # degrees


@dataclass(frozen=True)
class Answer:
    """Objects that fit: their numbers (M,) in the list that was asked, labels, scores (M,), and what was asked for."""

    numbers: NDArray[np.int64]
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    vocabulary: tuple[str, ...]


def answer(
    objects: Sequence[MapObject],
    labels: str | Iterable[str] | None,
    naming: Naming,
    false_alarm: float | None,
    own: Vectors,
    means: NDArray[np.float32],
) -> Answer:
    """Name objects by labels or phrases.

    Labels alone compete among each other, and every object gets the best one. As soon as one of them is a phrase, the
    map's own labels compete too, and an object must be of the phrase's label to fit.

    Args:
        objects: to name.
        labels: labels and phrases; None: the map's own.
        naming: source of the probabilities.
        false_alarm: see :meth:`ObjectMap.query <clip2.mapping.ObjectMap.query>`.
        own: the map's own labels and their vectors.
        means: (N, D) mean embeddings of the objects.

    Raises:
        InputError: no labels, a repeated one, or one without a vector.
    """
    everything = np.arange(len(objects))
    if labels is None:
        names, vectors = own
    else:
        asked = parse_labels(labels)
        known = naming.listed()
        phrases = [parse_phrase(text, known) for text in asked]
        if not all(phrase.plain for phrase in phrases):
            return _phrased(objects, phrases, naming, false_alarm, own)
        names, vectors = naming.vectors(asked)
    best, scores = naming.best(objects, names, vectors, false_alarm, means)
    return Answer(everything, tuple(best), scores, names)


def _phrased(
    objects: Sequence[MapObject],
    phrases: Sequence[Phrase],
    naming: Naming,
    false_alarm: float | None,
    own: Vectors,
) -> Answer:
    asked = tuple(phrase.text for phrase in phrases)
    if not objects:
        return Answer(np.zeros(0, np.int64), (), np.zeros(0, np.float32), asked)
    wanted = {normalize_label(label): label for phrase in phrases for label in phrase.labels()}
    rivals = [label for label in own[0] if normalize_label(label) not in wanted]
    names, vectors = naming.vectors([*wanted.values(), *rivals])
    scene = _Scene(objects, names, naming.probabilities(objects, names, vectors))
    scene.chance[naming.unknown(objects, false_alarm)] = 0
    table = np.stack([scene.score(phrase) for phrase in phrases], axis=1)
    best = table.argmax(axis=1)
    score = table[np.arange(len(best)), best].astype(np.float32)
    fits = np.flatnonzero(score > 0)
    return Answer(fits, tuple(asked[k] for k in best[fits]), score[fits], asked)


class _Scene:
    """Objects with what the phrases ask about.

    Attributes:
        chance: (N, K) probability of every label, 0 except for the best one of each object.
    """

    def __init__(
        self, objects: Sequence[MapObject], names: Sequence[str], scores: NDArray[np.float32]
    ) -> None:
        self.objects = objects
        self.column = {normalize_label(name): k for k, name in enumerate(names)}
        self.chance = np.where(scores == scores.max(axis=1, keepdims=True), scores, 0)
        self.boxes = np.array([one.box for one in objects])
        self.bottom = self.boxes[:, 2] - self.boxes[:, 5] / 2
        self.top = self.boxes[:, 2] + self.boxes[:, 5] / 2
        self.volume = self.boxes[:, 3:6].prod(axis=1)

    def score(self, phrase: Phrase) -> NDArray[np.float64]:
        """(N,) how well each object fits a phrase, 0..1."""
        score = self.chance[:, self.column[normalize_label(phrase.label)]].astype(np.float64)
        for word in phrase.attributes:
            rows = np.flatnonzero(score > 0)
            score[rows] *= self._attribute(word, rows)
        if phrase.relation is not None and phrase.other is not None:
            other = self.score(phrase.other)
            if phrase.relation == "nearest":
                return self._nearest(score, other)
            rows, others = np.flatnonzero(score > 0), np.flatnonzero(other > 0)
            for i in rows:
                true = [self._holds(phrase.relation, int(i), int(j)) * other[j] for j in others if i != j]
                score[i] *= max(true, default=0.0)
        return score if phrase.superlative is None else self._most(phrase.superlative, score)

    def _attribute(self, word: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if word in COLORS:
            return np.array([_color_share(self.objects[i].colors, word) for i in rows])
        if word in ("moving", "still"):
            moving = np.array([self.objects[i].moving for i in rows], bool)
            return (moving == (word == "moving")).astype(np.float64)
        sizes = np.cbrt(self.volume[rows])
        if len(sizes) == 0:
            return np.zeros(0)
        # Large and small are said of a chair among the chairs of the map.
        middle = np.median(sizes)
        return np.asarray((sizes > middle) if word == "large" else (sizes < middle), np.float64)

    def _holds(self, relation: str, i: int, j: int) -> float:
        """How true it is that object i is in the relation to object j."""
        a, b = self.boxes[i], self.boxes[j]
        if relation == "near":
            return float(np.exp(-0.5 * (self._gap(i, j) / _NEARBY) ** 2))
        if relation == "in":
            inside = _in_footprint(b, a[:2], 0.0) and self.bottom[j] - _LIP <= a[2] <= self.top[j]
            return float(inside and self.volume[i] < 0.7 * self.volume[j])
        if not _in_footprint(b, a[:2], _LIP):
            return 0.0
        if relation == "above":
            return float(self.bottom[i] > self.top[j] - _LIP)
        if relation == "under":
            return float(a[2] < b[2] and self.top[i] < self.top[j] - _LIP)
        return float(self._supports(i, j))

    def _supports(self, i: int, j: int) -> bool:
        """Object i stands on top of object j, or on a board of it."""
        if abs(self.bottom[i] - self.top[j]) < _SUPPORT:
            return True
        if self.bottom[i] < self.bottom[j] + _FOOT:
            return False  # it stands on the floor, between the feet of the other
        points = self.objects[j].points()
        level = np.abs(points[:, 2] - self.bottom[i]) < _SUPPORT
        below = points[level & (np.linalg.norm(points[:, :2] - self.boxes[i, :2], axis=1) < 0.3)]
        return len(below) >= 5 and self.top[i] < self.top[j] + self.boxes[i, 5]

    def _gap(self, i: int, j: int) -> float:
        """Meters between two boxes, from the center of each to the sides of the other."""
        return max(0.0, min(_distance(self.boxes[j], self.boxes[i]), _distance(self.boxes[i], self.boxes[j])))

    def _nearest(self, score: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, others = np.flatnonzero(score > _CANDIDATE), np.flatnonzero(other > _CANDIDATE)
        gaps = [(self._gap(int(i), int(j)), int(i), int(j)) for i in rows for j in others if i != j]
        result = np.zeros(len(score))
        if gaps:
            _, i, j = min(gaps)
            result[i] = score[i] * other[j]
        return result

    def _most(self, superlative: str, score: NDArray[np.float64]) -> NDArray[np.float64]:
        measure = {
            "largest": self.volume,
            "smallest": -self.volume,
            "tallest": self.boxes[:, 5],
            "highest": self.top,
            "lowest": -self.bottom,
        }[superlative]
        result = np.zeros(len(score))
        rows = np.flatnonzero(score > _CANDIDATE)
        if len(rows):
            winner = rows[measure[rows].argmax()]
            result[winner] = score[winner]
        return result


def _in_footprint(box: NDArray, xy: NDArray, margin: float) -> bool:
    c, s = np.cos(box[6]), np.sin(box[6])
    dx, dy = xy - box[:2]
    u, v = c * dx + s * dy, -s * dx + c * dy
    return bool(abs(u) <= box[3] / 2 + margin and abs(v) <= box[4] / 2 + margin)


def _distance(box: NDArray, other: NDArray) -> float:
    """Meters from the sides of a box to those of a ball as large as another box's shorter side."""
    c, s = np.cos(box[6]), np.sin(box[6])
    dx, dy, dz = other[:3] - box[:3]
    local = np.abs([c * dx + s * dy, -s * dx + c * dy, dz]) - box[3:6] / 2
    return float(np.linalg.norm(np.maximum(local, 0)) - other[3:6].min() / 2)


def _color_share(colors: NDArray[np.uint8] | None, name: str) -> float:
    """How much of an object has a color: 1 from half of its points on, 0 without colors."""
    if colors is None or len(colors) == 0:
        return 0.0
    return min(1.0, 2 * float((color_names(colors) == COLORS.index(name)).mean()))


def color_names(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) index into ``COLORS`` of (n, 3) uint8 RGB: by lightness and saturation, then by the nearest hue.

    >>> from clip2.mapping.grammar import COLORS
    >>> [COLORS[k] for k in color_names(np.array([[200, 30, 25], [20, 22, 24], [110, 70, 35]], np.uint8))]
    ['red', 'black', 'brown']
    """
    rgb = colors.astype(np.float64) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    chroma = high - low
    r, g, b = rgb.T
    safe = np.where(chroma > 0, chroma, 1)
    hue = np.select(
        [high == r, high == g], [((g - b) / safe) % 6, (b - r) / safe + 2], default=(r - g) / safe + 4
    )
    hues = np.array(list(_HUES.values()))
    away = np.abs((60 * hue[:, None] - hues + 180) % 360 - 180)
    named = np.array([COLORS.index(name) for name in _HUES])[away.argmin(axis=1)]
    brown = (high < 0.65) & (60 * hue > 8) & (60 * hue < 50)
    saturation = chroma / np.maximum(high, 1e-9)
    bright = np.where(high < 0.2, COLORS.index("black"), COLORS.index("gray"))
    bright = np.where(high > 0.8, COLORS.index("white"), bright)
    colorless = (saturation < 0.25) | (high < 0.15)
    return np.where(colorless, bright, np.where(brown, COLORS.index("brown"), named))
