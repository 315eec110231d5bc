"""How many float32 values a point has, in a file that does not say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.images import unreadable

USUAL = (3, 4, 5, 6)
_TRIED = range(3, 9)  # with 7 and 8, so that unusual files are not mistaken for usual ones
_PERIOD = 840  # a multiple of all of them
_FIX = "state how many float32 values a point has, columns=6 for x y z r g b (clip2: --option columns=6)"


def find_record_width(path: Path) -> int:
    """Number of float32 values per point of a headerless file, if its content leaves no doubt.

    With the right width every column is one quantity with a distribution of its own; with a wrong one the
    columns are mixtures. So the measure of a width W is how much the position modulo W says about the value
    (mutual information in bits). It is near 1 for the right width of real clouds, the same for its multiples, and
    for others at most half of that. A width is accepted if it stands out like this, divides the size, and is 3 to 6.
    Only where no width shows any structure may the size decide alone, if just one of 3 to 6 divides it.

    Raises:
        BadFrameError: missing, empty, cut short, or in doubt; the line says how to state the width.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, "points", error) from error
    fitting = [width for width in USUAL if raw and len(raw) % (4 * width) == 0]
    if not fitting:
        raise BadFrameError(
            f"holds {len(raw)} bytes, not a positive multiple of 3, 4, 5 or 6 float32",
            source=path,
            field="points",
            fix="copy the file again, it is cut short, or " + _FIX,
        )
    values = np.frombuffer(raw, dtype="<f4")
    kinds = _kinds(values)
    structure = {width: _structure(kinds, width) for width in _TRIED}
    if max(structure.values()) == 0 and len(fitting) == 1:
        return fitting[0]
    width = _stands_out(structure)
    if width in fitting:
        return width
    if width is None:
        problem = f"could have {' or '.join(map(str, fitting))} float32 values per point"
    else:
        problem = f"looks like {width} float32 values per point, but its {len(raw)} bytes are no usual cloud of these"
    raise BadFrameError(problem, source=path, field="columns", fix=_FIX)


def _stands_out(structure: dict[int, float]) -> int | None:
    best = max(structure, key=lambda width: structure[width])
    if structure[best] == 0:
        return None
    # 3 explains as much as 6 where 6 is only two points side by side.
    width = next(w for w in _TRIED if best % w == 0 and structure[w] >= 0.95 * structure[best])
    rivals = [value for w, value in structure.items() if w % width]
    return width if max(rivals) < 0.8 * structure[best] else None


def _kinds(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Values as one of 16 kinds, equally many of each; of a large file, some blocks."""
    blocks = len(values) // _PERIOD
    if blocks > 512:  # enough to tell, and every block starts with a point, whichever the width
        chosen = np.linspace(0, blocks - 1, 512).astype(np.int64)
        values = values[: blocks * _PERIOD].reshape(blocks, _PERIOD)[chosen].ravel()
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return np.zeros(len(values), np.int64)
    return np.searchsorted(np.unique(np.quantile(finite, np.linspace(0, 1, 17)[1:-1])), values)


def _structure(kinds: NDArray[np.int64], width: int) -> float:
    """Bits that the position modulo ``width`` says about a value; 0 where that may be chance."""
    kinds = kinds[: len(kinds) // width * width]
    bins = int(kinds.max(initial=0)) + 1
    cell = np.arange(len(kinds)) % width * bins + kinds
    joint = np.bincount(cell, minlength=width * bins).reshape(width, bins) / max(len(kinds), 1)
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    bits = float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())
    # Independent values give this much by chance (Miller 1955), with that spread.
    freedom, scale = (width - 1) * (bins - 1), 2 * max(len(kinds), 1) * np.log(2)
    bits -= freedom / scale
    return bits if bits > max(0.1, 6 * np.sqrt(2 * freedom) / scale) else 0.0
