"""Appearance of a session: colors of points, legend, captions and lines of boxes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.recognition.instances import instance_palette
from clip2.viewer import coloring
from clip2.viewer.naming import stretch
from clip2.viewer.session import Session
from data_prep.geometry.boxes import BOX_EDGES

MODE_TEXTS: dict[coloring.Mode, str] = {
    "color": "color",
    "height": "height",
    "intensity": "intensity",
    "object": "object",
    "similarity": "similarity to labels",
    "heat": "heat of labels",
}
_EDGES = np.array(BOX_EDGES)


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


class Appearance:
    """How the page draws a session.

    Args:
        session: to draw.

    Attributes:
        mode: what the colors of the points mean.

    >>> from clip2.viewer.content import Content
    >>> from data_prep import open_scan
    >>> frame = open_scan("procedural", "room", frames=1, image_size=(80, 60))[0]
    >>> appearance = Appearance(Session(Content.of_frame(frame)))
    >>> appearance.modes, appearance.colors().shape == frame.points.shape, appearance.legend()
    (('color', 'height'), True, [])
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.mode: coloring.Mode = self.modes[0]
        self._behind: tuple[object, NDArray[np.uint8]] | None = None
        self._heat_of: tuple[object, int | None] = (None, None)
        self._heat = np.zeros(0, np.float32)

    @property
    def modes(self) -> tuple[coloring.Mode, ...]:
        """The ways to color this cloud."""
        result: list[coloring.Mode] = ["height"]
        if self.session.content.colors is not None:
            result.insert(0, "color")
        if self.session.content.intensity is not None:
            result.append("intensity")
        if len(self.session.content.objects):
            result.append("object")
            if self.session.vocabulary is not None:
                result += ["similarity", "heat"]
        return tuple(result)

    def colors(self) -> NDArray[np.uint8]:
        """(P, 3) colors of all points in the present mode."""
        content, mode = self.session.content, self.mode if self.mode in self.modes else "height"
        if mode == "color" and content.colors is not None:
            return content.colors
        if mode == "intensity" and content.intensity is not None:
            return coloring.by_intensity(content.intensity)
        if mode == "object":
            shown = np.array([i not in self.session.hidden for i in range(len(content.objects))], bool)
            return coloring.by_object(self.session.owners, self._backdrop(), len(content.objects), shown)
        if mode == "similarity":
            return self._similarity_colors()
        if mode == "heat":
            return coloring.ramp(self.heat(), "heat")
        return coloring.by_height(content.points)

    def similarity(self) -> NDArray[np.float32]:
        """(N,) 0..1: of each object to its label, or to the reference object."""
        objects = self.session.content.objects
        if self.session.reference is not None:
            cosines = objects.embeddings @ objects.embeddings[self.session.reference]
            return stretch(cosines, (float(np.median(cosines)), 1.0))
        asked = self.session.naming.cosines[
            :, : self.session.naming.cosines.shape[1] - len(self.session.naming.background)
        ]
        if asked.size == 0:
            return np.ones(len(objects), np.float32)
        best = asked.max(axis=1)
        similar = stretch(best, self.session.similarity_limits)
        similar[list(self.session.edits.given)] = 1
        return similar

    def heat(self) -> NDArray[np.float32]:
        """(P,) 0..1: similarity to the labels that were typed, or to the reference object, spread over the points."""
        session = self.session
        # Every change of names makes a new naming, and with it new heat.
        naming, reference = self._heat_of
        if naming is not session.naming or reference != session.reference:
            values = self.similarity()
            if len(session.content.objects) and session.reference is None:
                values = np.where(session.naming.labels == np.array(UNKNOWN), values * 0.3, values)
            owners = session.owners
            self._heat = coloring.spread_heat(session.content.points, owners, values)
            self._heat_of = (session.naming, session.reference)
        return self._heat

    def palette(self) -> NDArray[np.uint8]:
        """(K, 3) color of each label of the vocabulary."""
        return instance_palette(len(self.session.naming.vocabulary))

    def legend(self) -> list[LegendRow]:
        """Labels that objects have, most frequent first, then ``unknown``."""
        naming, palette, rows = self.session.naming, self.palette(), []
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
        for k, label in enumerate(self.session.labels):
            if label not in found:
                red, green, blue = palette[k].tolist()
                rows.append(LegendRow(label, (red, green, blue), 0, None))
        unknown = int(self.session.unknown().sum())
        if unknown:
            rows.append(LegendRow(UNKNOWN, coloring.UNKNOWN_GRAY, unknown, None))
        return rows

    def captions(self, names: bool = True, ids: bool = False, most: int = 80) -> list[Caption]:
        """Texts above the named objects, best scores first."""
        naming, objects = self.session.naming, self.session.content.objects
        best = [int(i) for i in np.argsort(-naming.scores, kind="stable") if naming.wanted[i]][:most]
        boxes = self.session.boxes
        return [
            Caption(
                i,
                " ".join(
                    part for part in (f"#{i}" if ids else "", naming.labels[i] if names else "") if part
                ),
                self.session.content.centered(boxes[i].center + [0, 0, boxes[i].size[2] / 2]),
            )
            for i in best
            if (names or ids) and len(objects)
        ]

    def edges(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Lines of the boxes of the named objects and of the selected one: (M, 2, 3) in the page's axes, (M, 2, 3) colors."""
        naming, palette = self.session.naming, self.palette()
        lines, colors = [], []
        for i, box in enumerate(self.session.boxes):
            if not naming.wanted[i] and i != self.session.selected:
                continue
            lines.append(self.session.content.centered(box.corners())[_EDGES])
            color = (255, 255, 255) if i == self.session.selected else palette[naming.numbers[i]]
            colors.append(np.broadcast_to(np.asarray(color, np.uint8), (len(_EDGES), 2, 3)))
        if not lines:
            return np.zeros((0, 2, 3), np.float32), np.zeros((0, 2, 3), np.uint8)
        return np.concatenate(lines), np.concatenate(colors)

    def _similarity_colors(self) -> NDArray[np.uint8]:
        if self.session.reference is not None:
            glow = coloring.ramp(self.similarity(), "heat")
            result = self._backdrop().copy()
            lit = self.session.owners >= 0
            result[lit] = glow[self.session.owners[lit]]
            return result
        return coloring.by_similarity(
            self.session.owners,
            self._backdrop(),
            self.session.naming.numbers,
            self.similarity(),
            self.session.unknown(),
            self.palette(),
        )

    def _backdrop(self) -> NDArray[np.uint8]:
        """(P, 3) dim grays of the points that nothing lights up; kept as long as the cloud is the same."""
        points, colors = self.session.content.points, self.session.content.colors
        if self._behind is None or self._behind[0] is not points:
            self._behind = (points, coloring.backdrop(points, colors))
        return self._behind[1]
