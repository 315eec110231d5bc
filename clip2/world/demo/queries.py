"""Recognition of demo scenes and free queries with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label
from clip2.model import Clip2Model
from clip2.recognition import Instances3D, Recognizer
from clip2.teacher import Teacher
from clip2.world.demo.scenes import NOTHING, Scene
from clip2.world.teacher.captions import KINDS
from data_prep.world import Setting, list_categories
from data_prep.world.palette import COLORS

HITS, QUERIES = 4, 10
# Objectness below which most proposals are pieces of things or of walls. In six other rooms, 25 proposals on things lay
# between 0.3 and this; five of them held most of the thing.
_LIKELY = 0.5
_DESCRIBES = (
    0.85  # a label describes the names whose similarity is at least this share of the most similar name's
)
# The first question of each row that a found object answers is asked; {} is a color.
_QUESTIONS = (
    ("something {} to sit on", "something to sit on"),
    ("a vehicle",),
    ("something to drink from",),
    ("a {} bottle", "a {} vase", "a {} box"),
    ("something to cook with", "a household appliance"),
    ("something that gives light",),
    ("something to read", "something to play with"),
    ("a {} piece of furniture", "a {} container"),
    ("a musical instrument", "something to climb", "a toy"),
    ("something to ride",),
    ("a plant",),
    ("something to carry things in", "something to pour from"),
)


@dataclass(frozen=True)
class Recognized:
    """A scene, the objects found in it, and their ground truth.

    Attributes:
        scene: with its truth.
        found: all objects, each with the best label of the setting.
        named: objects whose best label is among those asked for; ``found`` if nothing was asked for.
        truth: per object of ``found``, the instance that most of its points lie on; NOTHING for wall or ground.
        named_truth: the same for ``named``.
    """

    scene: Scene
    found: Instances3D
    named: Instances3D
    truth: tuple[int, ...]
    named_truth: tuple[int, ...]

    def true_name(self, number: int) -> str:
        """True name of object ``number`` with its color; empty for wall and ground."""
        instance = self.truth[number]
        return "" if instance == NOTHING else f"{self.scene.colors[instance]} {self.scene.names[instance]}"

    def figures(self) -> dict[str, int]:
        """For JSON: objects found, those that are not wall or ground, and those with the correct label."""
        things = [self.thing(number) for number in range(len(self.found))]
        right = sum(t is not None and t[0] == word for t, word in zip(things, self.found.labels, strict=True))
        return {"found": len(things), "things": sum(t is not None for t in things), "named_right": right}

    def thing(self, number: int) -> tuple[str, str] | None:
        """Label and color of object ``number``; empty color if the scan has none; None for wall and ground."""
        instance = self.truth[number]
        if instance == NOTHING:
            return None
        return self.scene.names[instance], "" if self.found.colors is None else self.scene.colors[instance]


@dataclass(frozen=True)
class Hit:
    """An answer to a query.

    Attributes:
        setting: setting of its scene.
        number: index of the object among those found there.
        similarity: cosine between its vector and the query's.
        true_name: true name; empty for wall and ground.
        right: whether the object answers the query.
    """

    setting: Setting
    number: int
    similarity: float
    true_name: str
    right: bool

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        truth = self.true_name or "nothing"
        return {
            "setting": self.setting, "similarity": round(self.similarity, 4), "is": truth, "right": self.right
        }  # fmt: skip


@dataclass(frozen=True)
class Query:
    """A free-text query.

    Attributes:
        text: the query as asked.
        names: categories that answer it; empty: any.
        color: color of an answer; empty: any.
        hits: the most similar objects, best first.
        answers: number of found objects that answer it.
    """

    text: str
    names: tuple[str, ...] = ()
    color: str = ""
    hits: tuple[Hit, ...] = ()
    answers: int = 0

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {"query": self.text, "answers": self.answers, "hits": [hit.figures() for hit in self.hits]}

    def answered_by(self, name: str, color: str) -> bool:
        """Whether an object of this label and color answers the query."""
        return (not self.names or name in self.names) and self.color in ("", color)


def recognize(
    model: Clip2Model, teacher: Teacher, setting: Setting, scene: Scene, words: Sequence[str] = ()
) -> Recognized:
    """Find the objects of a scene from its geometry alone, and label them from ``words`` (empty: all labels of the setting)."""
    every = list_categories(setting)
    recognizer = Recognizer(model, teacher).set_scan(scene.frame)
    found = recognizer.query(every, min_objectness=_LIKELY)
    named = found
    if words:
        rivals = competitors(words, every, teacher)
        named = recognizer.query(words, background=rivals, min_objectness=_LIKELY)
    truths = (tuple(_owner(scene.instances[index]) for index in some.indices) for some in (found, named))
    return Recognized(scene, found, named, *truths)


def competitors(words: Sequence[str], every: Sequence[str], teacher: Teacher) -> list[str]:
    """Background labels for a query, so that objects can be something other than the labels asked for.

    Categories that a label describes are left out: "something to sit on" does not compete with "chair". A label with a
    color competes with the same label in every other color.

    Args:
        words: the labels asked for.
        every: all categories of the setting.
        teacher: decides which category a label describes.
    """
    world, described, others = list_categories(), set(), []
    colors = [next((color for color in COLORS if f" {color} " in f" {word} "), "") for word in words]
    plain = [" ".join(w.replace(c, "", 1).split()) or w for w, c in zip(words, colors, strict=True)]
    alike = teacher.embed_labels(list(dict.fromkeys(plain))) @ teacher.embed_labels(world).T
    for word, row in zip(dict.fromkeys(plain), alike, strict=True):
        known = normalize_label(word)
        similar = {name for name, a in zip(world, row, strict=True) if a > _DESCRIBES * row.max()}
        described |= {known} if known in world else similar
    for word, color in zip(words, colors, strict=True):
        others += [word.replace(color, other, 1) for other in COLORS if color and other != color]
    taken = {normalize_label(word) for word in words}
    return [each for each in dict.fromkeys([*every, *others]) if each not in described and each not in taken]


def ask(recognized: dict[Setting, Recognized], teacher: Teacher) -> list[Query]:
    """Free queries that at least one found object answers; none of them was a training label."""
    there = {
        (setting, one.truth[number]): one.thing(number)
        for setting, one in recognized.items()
        for number in range(len(one.found))
    }
    things = [thing for thing in there.values() if thing is not None]
    asked = []
    for row in _QUESTIONS:
        fitting = (q for text in row for q in _fill(text) if any(q.answered_by(*t) for t in things))
        asked.extend(list(fitting)[:1])
    asked = asked[:QUERIES]
    if not asked:
        return []
    queries = []
    for query, vector in zip(asked, teacher.embed_labels([query.text for query in asked]), strict=True):
        answers = sum(query.answered_by(*thing) for thing in things)
        queries.append(replace(query, hits=_hits(query, vector, recognized), answers=answers))
    return queries


def _fill(text: str) -> list[Query]:
    """A query, or one for each color, with the names that answer it.

    >>> _fill("a {} bottle")[0]
    Query(text='a red bottle', names=('bottle',), color='red', hits=(), answers=0)
    """
    plain = " ".join(text.replace("{}", "").split())
    names = KINDS.get(plain, (plain.removeprefix("a "),))
    if "{}" not in text:
        return [Query(text, names)]
    return [Query(_articles(text.format(color)), names, color) for color in COLORS]


def _articles(text: str) -> str:
    """
    >>> _articles("a orange bottle")
    'an orange bottle'
    """
    return f"an {text[2:]}" if text[:2] == "a " and text[2] in "aeiou" else text


def _hits(
    query: Query, vector: NDArray[np.float32], recognized: dict[Setting, Recognized]
) -> tuple[Hit, ...]:
    hits: dict[tuple[str, int], Hit] = {}
    for setting, one in recognized.items():
        for number, similarity in enumerate(one.found.embeddings @ vector):
            thing = one.thing(number)
            right = thing is not None and query.answered_by(*thing)
            hit = Hit(setting, number, float(similarity), one.true_name(number), right)
            # An object found in several pieces is shown once; pieces of wall are all kept.
            key = (setting, one.truth[number] if thing is not None else NOTHING - 1 - number)
            if key not in hits or hits[key].similarity < hit.similarity:
                hits[key] = hit
    return tuple(sorted(hits.values(), key=lambda hit: -hit.similarity)[:HITS])


def _owner(instances: NDArray[np.int64]) -> int:
    ids, counts = np.unique(instances, return_counts=True)
    return int(ids[counts.argmax()]) if counts.max() * 2 > len(instances) else NOTHING
