"""Objects cut out of labeled scans by their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from clip2.evaluation.class_lists import ClassList
from clip2.evaluation.objects import Cloud, ObjectSet
from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import transform_points
from data_prep.scans import Frame, Scan, open_scan

LEAST_POINTS = 5


def cut_objects(
    source: str, root: Path, classes: ClassList, name: str, visibility: int = 0, **options: object
) -> ObjectSet:
    """The points inside each labeled box whose label is in the list, in the z-up world.

    Objects with fewer than :data:`LEAST_POINTS` points, or of a lower visibility level, are left out and counted.

    Args:
        source, root, options: as of :func:`data_prep.open_scan`.
        classes: the list.
        name: of the set.
        visibility: lowest level of nuScenes to keep, 1 to 4; 0: all. Objects without a level are kept.

    Raises:
        InputError: no frame has labels, or no object is left.
    """
    scan = open_scan(source, root, **options)
    places, targets, names = [], [], []
    other = small = hidden = labeled = 0
    for index in range(len(scan)):
        found = scan.annotations(index)
        if found is None or len(found) == 0:
            continue
        labeled += 1
        points = scan[index].points
        levels = found.attributes.get("visibility")
        for number, (box, label) in enumerate(zip(found.boxes, found.labels, strict=True)):
            target = classes.number(label)
            if target is None:
                other += 1
            elif levels is not None and 0 < _level(levels[number]) < visibility:
                hidden += 1
            elif box.contains(points).sum() < LEAST_POINTS:
                small += 1
            else:
                places.append((index, number))
                targets.append(target)
                names.append(f"{scan.frame_ids()[index]} object {number}")
    if not labeled:
        raise BadDatasetError("has no labeled boxes", source=root, fix="give a scan with labels")
    if not places:
        raise InputError(f"holds no object of {name} with {LEAST_POINTS} points", source=root)
    left = f"left out: {small} with fewer than {LEAST_POINTS} points, {other} of other classes"
    left += f", {hidden} below visibility level {visibility}" if visibility else ""
    return ObjectSet(
        name=name,
        labels=classes.labels,
        targets=np.array(targets, np.int64),
        names=tuple(names),
        load=_Cuts(source, root, tuple(sorted(options.items())), tuple(places)),
        axes="the scan's own z-up world",
        colored=source in ("sunrgbd", "scannet"),
        left_out=left,
        metric=True,
        synonyms=dict(classes.synonyms),
        source=classes.source,
    )


@dataclass(frozen=True)
class _Cuts:
    source: str
    root: Path
    options: tuple[tuple[str, object], ...]
    places: tuple[tuple[int, int], ...]

    def __call__(self, index: int) -> Cloud:
        frame_index, number = self.places[index]
        frame = _frame(self.source, self.root, self.options, frame_index)
        found = _scan(self.source, self.root, self.options).annotations(frame_index)
        assert found is not None
        inside = found.boxes[number].contains(frame.points)
        points = transform_points(frame.T_world_points, frame.points[inside], np.float64)
        return Cloud(points, None if frame.colors is None else frame.colors[inside])


@lru_cache(maxsize=1)
def _scan(source: str, root: Path, options: tuple[tuple[str, object], ...]) -> Scan:
    return open_scan(source, root, **dict(options))


@lru_cache(maxsize=2)  # objects of a frame follow each other
def _frame(source: str, root: Path, options: tuple[tuple[str, object], ...], index: int) -> Frame:
    return _scan(source, root, options)[index]


def _level(value: object) -> int:
    digits = "".join(each for each in str(value) if each.isdigit())
    return int(digits[:1]) if digits else 0
