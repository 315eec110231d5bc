"""State of the page: what was typed, chosen and corrected, and what follows from it; knows nothing of the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN, normalize_label
from clip2.recognition.instances import Instances3D, instance_palette
from clip2.recognition.recognizer import trained_background
from clip2.size_prior import size_plausibility
from clip2.viewer import coloring
from clip2.viewer.content import Content
from clip2.viewer.naming import Naming, Vocabulary, most_alike, name_objects, similarity_range, stretch
from clip2.viewer.picking import Eye, grow, inside_rectangle, pick_point
from clip2.viewer.suggestions import suggest, typed_labels
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_iou import box_rows
from data_prep.geometry.boxes import BOX_EDGES
from data_prep.geometry.transforms import invert
from data_prep.geometry.upright_box import fit_upright_box
from data_prep.scans.frame import Annotations3D

_REACH, _GAP = 2.5, 0.06  # of an object added by a click: size and gaps between its points, meters
_EDGES = np.array(BOX_EDGES)
_SYNONYMS = 0.01  # share of all labels that do not compete with one that they are nearest to
_GAP_FAR = 0.015  # the gap grows with the distance from the sensor, as a share of it


class LegendRow(NamedTuple):
    """One line of the legend: a label, its color, how many objects have it, and the highest score."""

    label: str
    color: tuple[int, int, int]
    objects: int
    score: float | None


class Caption(NamedTuple):
    """Text at an object, with its place in the page's axes."""

    number: int
    text: str
    place: NDArray[np.float32]


@dataclass
class Edits:
    """Corrections by a person: labels by object, objects that are none."""

    given: dict[int, str] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)


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
        mode: what the colors of the points mean.
        selected: number of the selected object, or None.
        reference: number of the object that others are compared with, or None.
        edits: corrections.

    >>> from data_prep import open_scan
    >>> session = Session(Content.of_frame(open_scan("procedural", "room", frames=1, image_size=(80, 60))[0]))
    >>> session.colors().shape == session.content.points.shape, session.legend()
    (True, [])
    """

    def __init__(self, content: Content, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary
        self.labels: tuple[str, ...] = ()
        self.rejected: tuple[str, ...] = ()
        self.unfinished = False
        self.against_all = True
        self.threshold = 0.0
        self.false_alarms: float | None = None
        self.mode: coloring.Mode = "object"
        self.show(content)

    def show(self, content: Content, edits: Edits | None = None) -> None:
        """Change to another moment; labels, sliders and colors stay, the selection goes."""
        self.content = content
        self.edits = Edits() if edits is None else edits
        self.selected: int | None = None
        self.reference: int | None = None
        self._backdrop = coloring.backdrop(content.points, content.colors)
        self.__dict__.pop("ground", None)
        self._heat: tuple[object, NDArray[np.float32]] | None = None
        self._rename()

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that can be completed; empty if any label can be asked for."""
        listed: tuple[str, ...] = (
            () if self.vocabulary is None else getattr(self.vocabulary.text, "names", ())
        )
        return tuple(name for name in listed if name != UNKNOWN)

    @property
    def modes(self) -> tuple[coloring.Mode, ...]:
        """The ways to color this cloud."""
        result: list[coloring.Mode] = ["height"]
        if self.content.colors is not None:
            result.insert(0, "color")
        if self.content.intensity is not None:
            result.append("intensity")
        if len(self.content.objects):
            result.append("object")
            if self.vocabulary is not None:
                result += ["similarity", "heat"]
        return tuple(result)

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
            self._rename()

    def suggestions(self, typed: str) -> list[str]:
        """Labels that complete what is being typed."""
        return suggest(typed, self.names)

    def set_threshold(self, threshold: float) -> None:
        """Name only objects with at least this score."""
        self.threshold = threshold
        self._rename()

    def set_against_all(self, compete: bool) -> None:
        """Let all labels compete with those typed, or not."""
        self.against_all = compete
        self._rename()

    def set_false_alarms(self, share: float) -> None:
        """Let this share of known objects be called ``unknown``."""
        self.false_alarms = share
        self._rename()

    def compare_with(self, number: int | None) -> list[tuple[int, float]]:
        """Color by similarity to one object from now on; None: to the labels again.

        Returns:
            The objects most alike, with their cosines.
        """
        self.reference = number
        self._heat = None
        return [] if number is None else most_alike(self.content.objects.embeddings, number)

    # What follows.

    def colors(self) -> NDArray[np.uint8]:
        """(P, 3) colors of all points in the present mode."""
        content, mode = self.content, self.mode if self.mode in self.modes else "height"
        if mode == "color" and content.colors is not None:
            return content.colors
        if mode == "intensity" and content.intensity is not None:
            return coloring.by_intensity(content.intensity)
        if mode == "object":
            shown = np.array([i not in self.edits.removed for i in range(len(content.objects))], bool)
            return coloring.by_object(content.owners, self._backdrop, len(content.objects), shown)
        if mode == "similarity":
            return self._similarity_colors()
        if mode == "heat":
            return coloring.ramp(self.heat(), "heat")
        return coloring.by_height(content.points)

    def similarity(self) -> NDArray[np.float32]:
        """(N,) 0..1: of each object to its label, or to the reference object."""
        objects = self.content.objects
        if self.reference is not None:
            cosines = objects.embeddings @ objects.embeddings[self.reference]
            return stretch(cosines, (float(np.median(cosines)), 1.0))
        asked = self.naming.cosines[:, : self.naming.cosines.shape[1] - len(self.naming.background)]
        if asked.size == 0:
            return np.ones(len(objects), np.float32)
        best = asked.max(axis=1)
        similar = stretch(best, self._limits)
        similar[list(self.edits.given)] = 1
        return similar

    def heat(self) -> NDArray[np.float32]:
        """(P,) 0..1: similarity to the labels that were typed, or to the reference object, spread over the points."""
        key = (self.labels, self.reference, len(self.content.objects))
        if self._heat is None or self._heat[0] != key:
            objects, owners = self.content.objects, self.content.owners
            values = self.similarity()
            if len(objects) and self.reference is None:
                values = np.where(self.naming.labels == np.array(UNKNOWN), values * 0.3, values)
            self._heat = (key, coloring.spread_heat(self.content.points, owners, values))
        return self._heat[1]

    def palette(self) -> NDArray[np.uint8]:
        """(K, 3) color of each label of the vocabulary."""
        return instance_palette(len(self.naming.vocabulary))

    def legend(self) -> list[LegendRow]:
        """Labels that objects have, most frequent first, then ``unknown``."""
        naming, palette, rows = self.naming, self.palette(), []
        for k in np.unique(naming.numbers[naming.numbers >= 0]):
            mine = naming.numbers == k
            red, green, blue = palette[k].tolist()
            rows.append(
                LegendRow(
                    naming.vocabulary[k],
                    (red, green, blue),
                    int(mine.sum()),
                    float(naming.scores[mine].max()),
                )
            )
        rows.sort(key=lambda row: -row.objects)
        # Labels that were typed and that no object has are listed too: nothing found is an answer.
        found = {row.label for row in rows}
        for k, label in enumerate(self.labels):
            if label not in found:
                red, green, blue = palette[k].tolist()
                rows.append(LegendRow(label, (red, green, blue), 0, None))
        unknown = int(self.unknown().sum())
        if unknown:
            rows.append(LegendRow(UNKNOWN, coloring.UNKNOWN_GRAY, unknown, None))
        return rows

    def unknown(self) -> NDArray[np.bool_]:
        """(N,) bool, objects that are called ``unknown``."""
        return np.array(
            [label == UNKNOWN and i not in self.edits.removed for i, label in enumerate(self.naming.labels)],
            dtype=bool,
        )

    def captions(self, names: bool = True, ids: bool = False, most: int = 80) -> list[Caption]:
        """Texts above the named objects, best scores first."""
        naming, objects = self.naming, self.content.objects
        best = [int(i) for i in np.argsort(-naming.scores, kind="stable") if naming.wanted[i]][:most]
        boxes = self.boxes()
        return [
            Caption(
                i,
                " ".join(
                    part for part in (f"#{i}" if ids else "", naming.labels[i] if names else "") if part
                ),
                self.content.centered(boxes[i].center + [0, 0, boxes[i].size[2] / 2]),
            )
            for i in best
            if (names or ids) and len(objects)
        ]

    def boxes(self) -> list[OrientedBox]:
        """N boxes in the world, of whole objects as far as labels tell."""
        return self._boxes

    def edges(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Lines of the boxes of the named objects and of the selected one: (M, 2, 3) in the page's axes, (M, 2, 3) colors."""
        naming, palette = self.naming, self.palette()
        lines, colors = [], []
        for i, box in enumerate(self._boxes):
            if not naming.wanted[i] and i != self.selected:
                continue
            lines.append(self.content.centered(box.corners())[_EDGES])
            color = (255, 255, 255) if i == self.selected else palette[naming.numbers[i]]
            colors.append(np.broadcast_to(np.asarray(color, np.uint8), (len(_EDGES), 2, 3)))
        if not lines:
            return np.zeros((0, 2, 3), np.float32), np.zeros((0, 2, 3), np.uint8)
        return np.concatenate(lines), np.concatenate(colors)

    def result(self) -> Instances3D:
        """What ``clip2 recognize`` would write, with the corrections: named and unknown objects, best first."""
        naming = self.naming
        kept = np.flatnonzero(naming.wanted | (self.unknown() & (self.threshold <= 0)))
        kept = kept[np.argsort(-naming.scores[kept], kind="stable")]
        named = replace(
            self.content.objects,
            labels=naming.labels,
            scores=naming.scores,
            boxes=box_rows(self._boxes),
            rotations=np.array([box.rotation for box in self._boxes]).reshape(-1, 3, 3),
            vocabulary=naming.vocabulary,
        )
        return named[kept]

    # What a person points at and corrects.

    def click(self, origin: NDArray, direction: NDArray, shown: NDArray[np.int64]) -> int | None:
        """Select the object under a ray, in the page's axes; None where nothing is.

        Args:
            origin, direction: (3,) of the ray.
            shown: indices of the points that are drawn.
        """
        point = self.pick(origin, direction, shown)
        owner = -1 if point is None else int(self.content.owners[point])
        self.selected = owner if owner >= 0 and owner not in self.edits.removed else None
        return self.selected

    def pick(self, origin: NDArray, direction: NDArray, shown: NDArray[np.int64]) -> int | None:
        """Index of the point under a ray; arguments as in :meth:`click`."""
        found = pick_point(origin, direction, self.content.centered(self.content.points[shown]))
        return None if found is None else int(shown[found])

    def rename(self, number: int, label: str) -> None:
        """Give an object a label, of the bank or not.

        Raises:
            InputError: an empty label, or ``unknown``.
        """
        label = " ".join(label.split())
        if not label or label == UNKNOWN:
            raise InputError(
                f"is {label!r}", field="label", fix='type a label, like "chair", or remove the object'
            )
        self.edits.given[number] = label
        self.edits.removed.discard(number)
        self._rename()

    def remove(self, number: int) -> None:
        """Take an object out: it is none."""
        self.edits.removed.add(number)
        self.edits.given.pop(number, None)
        self.selected = None
        self._rename()

    def add_by_click(self, point: int, label: str) -> int:
        """Add the object around a clicked point: what hangs together with it and belongs to no object and no ground.

        Returns:
            Its number.

        Raises:
            InputError: a single point, or no label.
        """
        content = self.content
        away = (
            0.0
            if content.viewpoint is None
            else float(np.linalg.norm(content.points[point] - content.viewpoint))
        )
        gap = max(_GAP, _GAP_FAR * away)
        indices = grow(content.points, self._free(), point, _REACH, gap)
        return self._add(indices, label)

    def add_by_rectangle(
        self, eye: Eye, low: tuple[float, float], high: tuple[float, float], label: str
    ) -> int:
        """Add the object in a rectangle on the screen; places are 0..1 from the upper left corner.

        Returns:
            Its number.

        Raises:
            InputError: fewer than 5 free points in it, or no label.
        """
        centered = self.content.centered(self.content.points)
        return self._add(inside_rectangle(centered, self._free(), eye, low, high), label)

    def labeled(self) -> list[int]:
        """Numbers of the objects that :meth:`annotations` holds."""
        return [int(i) for i in np.flatnonzero(self.naming.wanted)]

    def annotations(self) -> Annotations3D:
        """The named objects as labels, with boxes in the axes of the frame's points."""
        T_points_world = invert(self.content.T_world_points)
        numbers = self.labeled()
        return Annotations3D(
            boxes=tuple(self._boxes[i].transformed(T_points_world) for i in numbers),
            labels=tuple(self.naming.labels[i] for i in numbers),
            attributes={
                "score": np.array([float(self.naming.scores[i]) for i in numbers]),
                "corrected": np.array([i in self.edits.given for i in numbers]),
            },
        )

    def _free(self) -> NDArray[np.bool_]:
        removed = np.array(sorted(self.edits.removed), np.int64)
        return (~self.ground) & ((self.content.owners < 0) | np.isin(self.content.owners, removed))

    def _add(self, indices: NDArray[np.int64], label: str) -> int:
        if len(indices) < 5:
            raise InputError(
                f"holds {len(indices)} free points",
                field="new object",
                fix="choose points that belong to no object and no ground",
            )
        number = len(self.content.objects)
        mode, edits = self.mode, self.edits
        if not label.strip():
            raise InputError("is empty", field="label", fix="type the label of the new object first")
        content = self.content.with_object(indices, fit_upright_box(self.content.points[indices]))
        self.show(content, edits)
        self.mode = mode
        self.rename(number, label)
        self.selected = number
        return number

    def _rename(self) -> None:
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
            )
        else:  # a result as it was written
            naming = _as_written(objects, self.threshold)
        self.naming = naming.with_given(self.edits.given, self.edits.removed)
        self._boxes = objects.oriented_boxes()
        if self.content.whole_boxes is not None and count:
            known_count = len(known) if self.content.resembles is None else len(resembles)
            whole = self.content.whole_boxes(naming.labels[:known_count], naming.likely[:known_count])
            self._boxes[:known_count] = whole
        if self.vocabulary is not None and asked:
            references = self.vocabulary.text.embed_labels(self.names) if self.names else vectors
            self._limits = similarity_range(objects.embeddings, references)
        self._heat = None

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

    def _similarity_colors(self) -> NDArray[np.uint8]:
        if self.reference is not None:
            glow = coloring.ramp(self.similarity(), "heat")
            result = self._backdrop.copy()
            lit = self.content.owners >= 0
            result[lit] = glow[self.content.owners[lit]]
            return result
        return coloring.by_similarity(
            self.content.owners,
            self._backdrop,
            self.naming.numbers,
            self.similarity(),
            self.unknown(),
            self.palette(),
        )


def _as_written(objects: Instances3D, threshold: float) -> Naming:
    vocabulary = tuple(dict.fromkeys(label for label in objects.labels if label not in (UNKNOWN, "")))
    numbers = np.array([vocabulary.index(x) if x in vocabulary else -1 for x in objects.labels], np.int64)
    numbers[objects.scores < threshold] = -1
    nothing = np.zeros((len(objects), 0), np.float32)
    return Naming(
        vocabulary,
        (),
        nothing,
        nothing,
        objects.labels,
        objects.scores,
        objects.scores.copy(),
        numbers >= 0,
        numbers,
    )
