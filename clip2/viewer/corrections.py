"""Corrections by a person: labels given, boxes moved, objects removed and added, and all as training labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN, normalize_label
from clip2.viewer.picking import Eye, grow, inside_rectangle
from clip2.viewer.session import Session
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.transforms import invert
from data_prep.geometry.upright_box import fit_upright_box
from data_prep.scans.frame import Annotations3D

_REACH, _GAP = 2.5, 0.06  # of an object added by a click: size and gaps between its points, meters
_GAP_FAR = 0.015  # the gap grows with the distance from the sensor, as a share of it


def rename(session: Session, number: int, label: str) -> None:
    """Give an object a label, of the bank or not.

    Raises:
        InputError: an empty label, or ``unknown``.
    """
    label = " ".join(label.split())
    if not label or label == UNKNOWN:
        raise InputError(
            f"is {label!r}", field="label", fix='type a label, like "chair", or remove the object'
        )
    session.edits.given[number] = label
    session.edits.removed.discard(number)
    session.update()


def remove(session: Session, number: int) -> None:
    """Take an object out: it is none."""
    session.edits.removed.add(number)
    session.edits.given.pop(number, None)
    session.edits.boxes.pop(number, None)
    session.selected = None
    session.update()


def move_box(session: Session, number: int, box: OrientedBox) -> None:
    """Give an object a box in the world; quick, so that it can follow a hand. :func:`settle_box` ends it."""
    session.edits.boxes[number] = session.boxes[number] = box


def settle_box(session: Session, number: int) -> None:
    """Make the free points in an object's box, and those of its own in it, the points of the object."""
    content = session.content
    mine = _free(session) | (session.owners == number)
    inside = mine & session.boxes[number].contains(content.points)
    selected = session.selected
    session.show(content.with_points(number, np.flatnonzero(inside)), session.edits)
    session.selected = selected


def add_by_box(session: Session, box: OrientedBox, label: str) -> int:
    """Add an object with a box in the world and the free points in it, which may be none.

    Returns:
        Its number.

    Raises:
        InputError: no label.
    """
    inside = _free(session) & box.contains(session.content.points)
    number = _add(session, np.flatnonzero(inside), label, box)
    session.edits.boxes[number] = box
    return number


def first_box(session: Session, center: NDArray[np.float64], label: str) -> OrientedBox:
    """Upright box around a place, as large as objects of the label usually are, or a cube of one meter.

    Args:
        session: whose vocabulary knows sizes.
        center: (3,) in the world.
        label: of the object.
    """
    sizes = {} if session.vocabulary is None else session.vocabulary.sizes
    known = sizes.get(normalize_label(label))
    size = np.ones(3) if known is None else np.add(known.low, known.high) / 2
    return OrientedBox(center, size)


def add_by_click(session: Session, point: int, label: str) -> int:
    """Add the object around a clicked point: what hangs together with it and belongs to no object and no ground.

    Returns:
        Its number.

    Raises:
        InputError: a single point, or no label.
    """
    content = session.content
    away = (
        0.0 if content.viewpoint is None else float(np.linalg.norm(content.points[point] - content.viewpoint))
    )
    gap = max(_GAP, _GAP_FAR * away)
    indices = grow(content.points, _free(session), point, _REACH, gap)
    return _add_points(session, indices, label)


def add_by_rectangle(
    session: Session, eye: Eye, low: tuple[float, float], high: tuple[float, float], label: str
) -> int:
    """Add the object in a rectangle on the screen; places are 0..1 from the upper left corner.

    Returns:
        Its number.

    Raises:
        InputError: fewer than 5 free points in it, or no label.
    """
    centered = session.content.centered(session.content.points)
    return _add_points(session, inside_rectangle(centered, _free(session), eye, low, high), label)


def labeled(session: Session) -> list[int]:
    """Numbers of the objects that :func:`to_annotations` holds."""
    return [int(i) for i in np.flatnonzero(session.naming.wanted)]


def to_annotations(session: Session) -> Annotations3D:
    """The named objects as labels, with boxes in the axes of the frame's points."""
    T_points_world = invert(session.content.T_world_points)
    numbers = labeled(session)
    return Annotations3D(
        boxes=tuple(session.boxes[i].transformed(T_points_world) for i in numbers),
        labels=tuple(session.naming.labels[i] for i in numbers),
        attributes={
            "score": np.array([float(session.naming.scores[i]) for i in numbers]),
            "corrected": np.array([i in session.edits.given or i in session.edits.boxes for i in numbers]),
        },
    )


def _free(session: Session) -> NDArray[np.bool_]:
    removed = np.array(sorted(session.edits.removed), np.int64)
    return (~session.ground) & ((session.owners < 0) | np.isin(session.owners, removed))


def _add_points(session: Session, indices: NDArray[np.int64], label: str) -> int:
    if len(indices) < 5:
        raise InputError(
            f"holds {len(indices)} free points",
            field="new object",
            fix="choose points that belong to no object and no ground",
        )
    return _add(session, indices, label, fit_upright_box(session.content.points[indices]))


def _add(session: Session, indices: NDArray[np.int64], label: str, box: OrientedBox) -> int:
    if not label.strip():
        raise InputError("is empty", field="label", fix="type the label of the new object first")
    number = len(session.content.objects)
    session.show(session.content.with_object(indices, box), session.edits)
    rename(session, number, label)
    session.selected = number
    return number
