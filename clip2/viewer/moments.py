"""Sequence of moments that the page scrubs through: frames of a scan, or one result."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clip2.recognition.recognizer import Recognizer
from clip2.viewer.content import Content
from data_prep.scans import Frame, Scan

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.recognition.proposals import Kind
    from clip2.teacher.text_source import TextSource

_KEPT = 12  # recognized moments in memory
# Points of one moment that are recognized and drawn; a larger cloud is thinned at random before anything else.
MOST_RECOGNIZED = 8_000_000


class Moments:
    """Moments in order, each first as a bare cloud and then with its objects.

    Args:
        titles: name of each moment.
        bare: position → the cloud, quickly.
        full: position → the cloud with its objects; None: ``bare`` has them already.
    """

    def __init__(
        self,
        titles: Sequence[str],
        bare: Callable[[int], Content],
        full: Callable[[int], Content] | None = None,
    ) -> None:
        self.titles = list(titles)
        self._bare, self._full = bare, full
        self._kept: OrderedDict[int, Content] = OrderedDict()

    def __len__(self) -> int:
        return len(self.titles)

    def bare(self, position: int) -> Content:
        """The moment as far as it is known without work."""
        return self._kept[position] if position in self._kept else self._bare(position)

    def is_known(self, position: int) -> bool:
        """Whether :meth:`full` answers at once."""
        return self._full is None or position in self._kept

    def full(self, position: int) -> Content:
        """The moment with its objects; the last dozen are kept."""
        if position not in self._kept:
            self._kept[position] = (self._full or self._bare)(position)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(position)
        return self._kept[position]


def moments_of_scan(
    scan: Scan,
    positions: Sequence[int],
    load: Callable[[], tuple[ObjectModel, TextSource]] | None,
    proposals: Kind = "auto",
) -> Moments:
    """Frames of a scan.

    Args:
        scan: to show.
        positions: of the frames.
        load: gives the model and the source of label vectors, when the first objects are needed; None: clouds only.
        proposals: how objects are found.
    """
    ids = scan.frame_ids()

    def bare(position: int) -> Content:
        return Content.of_frame(thinned(scan[positions[position]]))

    def full(position: int) -> Content:
        assert load is not None
        frame = thinned(scan[positions[position]])
        # One recognizer per moment: a recognizer knows one scan at a time, and moments are shown again.
        recognizer = Recognizer(*load()).set_scan(frame, proposals=proposals)
        return Content.of_recognizer(recognizer, frame)

    return Moments([ids[p] for p in positions], bare, None if load is None else full)


def moments_of_frame(
    frame: Frame, load: Callable[[], tuple[ObjectModel, TextSource]] | None, proposals: Kind = "auto"
) -> Moments:
    """One frame, such as a fused sequence; arguments as in :func:`moments_of_scan`."""
    frame = thinned(frame)

    def full(position: int) -> Content:
        assert load is not None
        return Content.of_recognizer(Recognizer(*load()).set_scan(frame, proposals=proposals), frame)

    return Moments([frame.id], lambda _: Content.of_frame(frame), None if load is None else full)


def thinned(frame: Frame, most: int = MOST_RECOGNIZED) -> Frame:
    """The frame with at most so many of its points, chosen at random; a note tells."""
    count = len(frame.points)
    if count <= most:
        return frame
    keep = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    return Frame(
        id=frame.id,
        points=frame.points[keep],
        T_world_points=frame.T_world_points,
        views=frame.views,
        colors=None if frame.colors is None else frame.colors[keep],
        intensity=None if frame.intensity is None else frame.intensity[keep],
        timestamp=frame.timestamp,
        notes=(*frame.notes, f"{most:,} of {count:,} points are used"),
    )
