"""State of the page: what was asked, chosen and corrected, and the names that follow; no colors, no browser."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN, normalize_label
from clip2.recognition.instances import Instances3D
from clip2.recognition.recognizer import trained_background
from clip2.size_prior import size_plausibility
from clip2.viewer.content import Content
from clip2.viewer.naming import Vocabulary, as_written, most_alike, name_objects, similarity_range
from clip2.viewer.picking import pick_point
from clip2.viewer.suggestions import suggest, typed_labels
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_iou import box_rows

_SYNONYMS = 0.01  # share of all labels that do not compete with one that they are nearest to


@dataclass
class Edits:
    """Corrections by a person: labels and boxes by object, objects that are none."""

    given: dict[int, str] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    boxes: dict[int, OrientedBox] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was corrected."""
        return bool(self.given or self.removed or self.boxes)


class Session:
    """Everything the page shows, without the page.

    Args:
        content: the cloud and its objects.
        vocabulary: what objects are named with; None: they cannot be.

    Attributes:
        labels: what was typed and can be looked up; empty: all labels that the vocabulary lists.
        rejected: what was typed and cannot be looked up, or is not finished.
        unfinished: whether a comma would finish what is rejected.
        against_all: whether all labels of the vocabulary compete with those typed, so that one label alone does not fit everything.
        threshold: score below which objects are not named.
        false_alarms: share of known objects that may be called ``unknown``; None: the model's own.
        selected: number of the selected object, or None.
        reference: number of the object that others are compared with, or None.
        edits: corrections.
        naming: names of the objects, after corrections.
        hidden: numbers of objects that a person removed, or that others with the same points and a better name replace.
        owners: (P,) number of the object of each point, -1 for none.
        boxes: N boxes in the world, of whole objects as far as labels tell.
        similarity_limits: cosines shown as "nothing alike" and "alike".

    >>> from data_prep import open_scan
    >>> session = Session(Content.of_frame(open_scan("procedural", "room", frames=1, image_size=(80, 60))[0]))
    >>> len(session.content.objects), session.names
    (0, ())
    """

    def __init__(self, content: Content, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary
        self.labels: tuple[str, ...] = ()
        self.rejected: tuple[str, ...] = ()
        self.unfinished = False
        self.against_all = True
        self.threshold = 0.0
        self.false_alarms: float | None = None
        self.similarity_limits = (0.0, 1.0)
        self.show(content)

    @classmethod
    def like(cls, other: Session, content: Content, edits: Edits) -> Session:
        """Another moment, asked the same as the session ``other``."""
        one = copy(other)
        one.show(content, edits)
        return one

    def show(self, content: Content, edits: Edits | None = None) -> None:
        """Change to another moment; labels, sliders and colors stay, the selection goes."""
        self.content = content
        self.edits = Edits() if edits is None else edits
        self.selected: int | None = None
        self.reference: int | None = None
        self.__dict__.pop("ground", None)
        self.update()

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that can be completed; empty if any label can be asked for."""
        listed: tuple[str, ...] = (
            () if self.vocabulary is None else getattr(self.vocabulary.text, "names", ())
        )
        return tuple(name for name in listed if name != UNKNOWN)

    @cached_property
    def ground(self) -> NDArray[np.bool_]:
        """(P,) bool, points of the floor or ground."""
        return self.content.ground()

    # What a person asks for.

    def ask(self, typed: str) -> None:
        """Take over a comma-separated text, even while it is being typed: what cannot be looked up is kept aside.

        Raises:
            InputError: no label vectors to look up.
        """
        if self.vocabulary is None:
            raise InputError(
                "cannot be looked up without a model", field="labels", fix="start with --model MODEL"
            )
        listed = {normalize_label(name) for name in self.names}
        # A text tower knows any label, so one that is still being typed waits for its comma.
        any_label = not listed or getattr(self.vocabulary.text, "has_text_tower", False)
        unfinished = normalize_label(typed.rpartition(",")[2])
        labels, self.rejected = typed_labels(
            typed,
            lambda label: (
                normalize_label(label) in listed or (any_label and normalize_label(label) != unfinished)
            ),
        )
        self.unfinished = any_label and bool(self.rejected)
        if labels != self.labels:
            self.labels, self.reference = labels, None
            self.update()

    def suggestions(self, typed: str) -> list[str]:
        """Labels that complete what is being typed."""
        return suggest(typed, self.names)

    def set_threshold(self, threshold: float) -> None:
        """Name only objects with at least this score."""
        self.threshold = threshold
        self.update()

    def set_against_all(self, compete: bool) -> None:
        """Let all labels compete with those typed, or not."""
        self.against_all = compete
        self.update()

    def set_false_alarms(self, share: float) -> None:
        """Let this share of known objects be called ``unknown``."""
        self.false_alarms = share
        self.update()

    def compare_with(self, number: int | None) -> list[tuple[int, float]]:
        """Color by similarity to one object from now on; None: to the labels again.

        Returns:
            The objects most alike, with their cosines.
        """
        self.reference = number
        return [] if number is None else most_alike(self.content.objects.embeddings, number)

    # What follows.

    def unknown(self) -> NDArray[np.bool_]:
        """(N,) bool, objects that are called ``unknown``; as in a query, not those most like a wall or a tree."""
        naming = self.naming
        unknown = np.array(
            [label == UNKNOWN and i not in self.hidden for i, label in enumerate(naming.labels)], bool
        )
        if self.labels and not self.against_all and len(naming.background):
            found, offered = naming.probabilities.shape  # what a person added comes after these
            unknown[:found] &= naming.probabilities.argmax(axis=1) < offered - len(naming.background)
        return unknown

    def is_encoded(self, number: int) -> bool:
        """Whether an object has an embedding to compare; one that a person added has none."""
        return bool(np.any(self.content.objects.embeddings[number]))

    def result(self) -> Instances3D:
        """What ``clip2 recognize`` would write, with the corrections: named and unknown objects, best first."""
        naming = self.naming
        kept = np.flatnonzero(naming.wanted | (self.unknown() & (self.threshold <= 0)))
        kept = kept[np.argsort(-naming.scores[kept], kind="stable")]
        named = replace(
            self.content.objects,
            labels=naming.labels,
            scores=naming.scores,
            boxes=box_rows(self.boxes),
            rotations=np.array([box.rotation for box in self.boxes]).reshape(-1, 3, 3),
            vocabulary=naming.vocabulary,
        )
        return named[kept]

    # What a person points at.

    def click(self, origin: NDArray, direction: NDArray, shown: NDArray[np.int64]) -> int | None:
        """Select the object under a ray, in the page's axes; None where nothing is.

        Args:
            origin, direction: (3,) of the ray.
            shown: indices of the points that are drawn.
        """
        point = self.pick(origin, direction, shown)
        owner = -1 if point is None else int(self.owners[point])
        self.selected = owner if owner >= 0 and owner not in self.hidden else None
        return self.selected

    def pick(self, origin: NDArray, direction: NDArray, shown: NDArray[np.int64]) -> int | None:
        """Index of the point under a ray; arguments as in :meth:`click`."""
        found = pick_point(origin, direction, self.content.centered(self.content.points[shown]))
        return None if found is None else int(shown[found])

    def update(self) -> None:
        """Name the objects again, after anything that names depend on has changed."""
        objects = self.content.objects
        count = len(objects)
        known = np.ones(count, dtype=bool)
        if self.content.resembles is not None:
            resembles = self.content.resembles(self.false_alarms)
            known[: len(resembles)] = resembles
        vectors = np.zeros((0, objects.embeddings.shape[1]), np.float32)
        asked: Sequence[str] = ()
        background: tuple[str, ...] = ()
        if self.vocabulary is not None and count:
            asked = self.labels or self.names
            background = self._rivals()
        if self.vocabulary is not None and asked:
            offered = (*asked, *background)
            vectors = self.vocabulary.text.embed_labels(offered)
            assert objects.objectness is not None
            assert objects.visible_boxes is not None
            naming = name_objects(
                objects.embeddings,
                vectors,
                asked,
                background,
                self.vocabulary.scale,
                known,
                objects.objectness,
                size_plausibility(self.vocabulary.sizes, objects.visible_boxes[:, 3:6], offered),
                self.threshold,
                self.vocabulary.calibration,
            )
        else:  # a result as it was written
            naming = as_written(objects, self.threshold)
        self.hidden = set(self.edits.removed)
        stay = np.arange(count)
        if self.content.settle is not None and count:
            found = len(known) if self.content.resembles is None else len(resembles)
            settled = self.content.settle(naming.scores[:found])
            stay = np.union1d(
                [*settled, *range(found, count)], [*self.edits.given, *self.edits.boxes]
            ).astype(np.int64)
            self.hidden |= set(range(count)) - set(stay.tolist())
        self.owners = np.append(stay, -1)[objects[stay].owners()]
        self.naming = naming.with_given(self.edits.given, self.hidden)
        self.boxes = objects.oriented_boxes()
        if self.content.whole_boxes is not None and count:
            known_count = len(known) if self.content.resembles is None else len(resembles)
            whole = self.content.whole_boxes(naming.labels[:known_count], naming.likely[:known_count])
            self.boxes[:known_count] = whole
        for number, box in self.edits.boxes.items():
            self.boxes[number] = box
        if self.vocabulary is not None and asked:
            references = self.vocabulary.text.embed_labels(self.names) if self.names else vectors
            self.similarity_limits = similarity_range(objects.embeddings, references)

    def _rivals(self) -> tuple[str, ...]:
        """Labels that compete with those typed: all but the hundredth nearest to each, which may be synonyms."""
        if not self.labels or self.vocabulary is None:
            return ()
        text = self.vocabulary.text
        if not (self.names and self.against_all):
            return trained_background(text, self.vocabulary.sizes, self.labels)
        cosines = text.embed_labels(self.labels) @ text.embed_labels(self.names).T
        near = np.argsort(-cosines, axis=1)[:, : 1 + int(_SYNONYMS * len(self.names))]
        typed = {normalize_label(label) for label in self.labels}
        spared = {int(i) for i in near.ravel()}
        return tuple(
            name
            for i, name in enumerate(self.names)
            if i not in spared and normalize_label(name) not in typed
        )
