"""Objects cut out of labeled scans by their boxes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from clip2.evaluation.class_lists import ClassList
from clip2.evaluation.objects import Cloud, ObjectSet
from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import transform_points
from data_prep.labels import normalize_label
from data_prep.scans import Frame, Scan, open_scan

LEAST_POINTS = 5
SCANNET_NAMES = "scannetv2-labels.combined.tsv"


def scannet_names(root: Path, classes: ClassList) -> tuple[dict[str, str] | None, ClassList]:
    """ScanNet's raw names as labels of a list, by the table that lies at or beside the scans.

    Args:
        root: folder of the scenes, or one scene.
        classes: the list; its ``nyu40`` says how the table spells a label.

    Returns:
        Raw name → label, None without a table; and the list, whose source says which it was.

    Raises:
        InputError: a table without the columns ``raw_category`` and ``nyu40class``.
    """
    path = next((file for place in (root, root.parent) if (file := place / SCANNET_NAMES).is_file()), None)
    if path is None:
        said = f"raw names that equal a label count, since {SCANNET_NAMES} is not beside the scans"
        return None, replace(classes, source=f"{classes.source}; {said}")
    label_of = {classes.nyu40.get(label, label): label for label in classes.labels}
    with path.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines, delimiter="\t")
        missing = {"raw_category", "nyu40class"} - set(table.fieldnames or ())
        if missing:
            raise InputError(f"lacks {', '.join(sorted(missing))}", source=path, fix="copy the file again")
        names = {
            normalize_label(row["raw_category"]): label_of[row["nyu40class"]]
            for row in table
            if row["nyu40class"] in label_of
        }
    return names, replace(classes, source=f"{classes.source}; raw names by {SCANNET_NAMES}")


def cut_objects(
    source: str, root: Path, classes: ClassList, name: str, visibility: int = 0,
    renamed: Mapping[str, str] | None = None, **options: object,
) -> ObjectSet:  # fmt: skip
    """The points inside each labeled box whose label is in the list, in the z-up world.

    Objects with fewer than :data:`LEAST_POINTS` points, or of a lower visibility level, are left out and counted.

    Args:
        source, root, options: as of :func:`data_prep.open_scan`.
        classes: the list.
        name: of the set.
        visibility: lowest level of nuScenes to keep, 1 to 4; 0: all. Objects without a level are kept.
        renamed: name in the data → label; other names have none. None: the data's names are compared with the labels.

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
            target = classes.number(label if renamed is None else renamed.get(label, ""))
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
