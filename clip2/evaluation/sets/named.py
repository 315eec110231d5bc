"""Named clouds in one npz file: a user's own objects as a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.objects import ObjectSet
from clip2.evaluation.sets.arrays import ArrayClouds, read_npz, to_z_up
from data_prep.errors import InputError


def named_file(root: Path) -> Path | None:
    """``named_objects.npz`` at or one folder below ROOT; None: there is none."""
    places = (root / "named_objects.npz", root / "objects" / "named_objects.npz")
    return next((path for path in places if path.is_file()), None)


def read_named(file: Path) -> ObjectSet:
    """Clouds with a name each; the distinct names are the labels to choose from.

    Keys: ``points`` (M, n, 3), or (M, n, 6) with colors from 0 to 1; ``name`` (M,). Optional: ``bank_name`` (M,), the
    name to ask a text bank for, objects without one are left out; ``up_axis`` (M,), ``y`` or ``z``; ``has_color`` (or
    ``has_colour``) (M,) bool, false where the stored color is a filler.

    Raises:
        InputError: keys are missing or of another shape, or it is no npz file.
    """
    arrays = read_npz(file, ("points", "name"), ("bank_name", "up_axis", "has_color", "has_colour"))
    points = arrays["points"]
    if points.ndim != 3 or points.shape[2] not in (3, 6):
        raise InputError(f"has shape {points.shape}", source=file, field="points", fix="store (M, n, 3 or 6)")
    names = _texts(arrays, "bank_name" if "bank_name" in arrays else "name", len(points), file)
    up = _texts(arrays, "up_axis", len(points), file) if "up_axis" in arrays else np.full(len(points), "z")
    kept = np.flatnonzero(names != "")
    labels, targets = np.unique(names[kept], return_inverse=True)
    clouds = [to_z_up(points[i, :, :3]) if up[i] == "y" else points[i, :, :3] for i in kept]
    measured = next(
        (arrays[key] for key in ("has_color", "has_colour") if key in arrays), np.ones(len(points), bool)
    )
    colors = [points[i, :, 3:] if measured[i] else None for i in kept] if points.shape[2] == 6 else None
    return ObjectSet(
        name="named-objects",
        labels=tuple(map(str, labels)),
        targets=targets.astype(np.int64),
        names=tuple(f"{number} ({names[number]})" for number in kept),
        load=ArrayClouds(clouds, colors, False),
        axes="as up_axis of the file says" if "up_axis" in arrays else "z up, not turned",
        colored=colors is not None and any(each is not None for each in colors),
        left_out=f"{len(points) - len(kept)} objects without a name in the bank left out",
        source=f"the distinct names in {file.name}",
    )


def _texts(arrays: dict[str, NDArray], key: str, count: int, file: Path) -> NDArray[np.str_]:
    values = arrays[key].astype(str)
    if values.shape != (count,):
        raise InputError(f"has shape {values.shape} for {count} objects", source=file, field=key)
    return values
