"""Does time run forward, and evenly?"""

from __future__ import annotations

import numpy as np

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample

_JUMP = 5.0  # times the usual step


def check_times(sample: Sample) -> list[Finding]:
    """Steps between the time stamps of the frames that were read; nothing where there are none."""
    notes = [sample.notes[index] for index in sorted(sample.notes)]
    timed = [(note.index, note.id, note.timestamp) for note in notes if note.timestamp is not None]
    if len(timed) < 3:
        return []
    index, ids, stamps = (list(column) for column in zip(*timed, strict=True))
    steps = np.diff(np.array(stamps, dtype=np.float64)) / np.diff(np.array(index, dtype=np.float64))
    values = {"median step (s)": float(np.median(steps)), "longest step (s)": float(steps.max())}
    if (back := np.flatnonzero(steps <= 0)).size:
        i = int(back[0])
        return [Finding("times", "warning", f"time does not go on from {ids[i]} to {ids[i + 1]} "
                        f"({stamps[i + 1] - stamps[i]:+.3f} s)", values,
                        "fine where another sequence starts; else the frames are not in order")]  # fmt: skip
    usual = float(np.median(steps))
    if (jumps := np.flatnonzero(steps > _JUMP * usual)).size:
        i = int(jumps[0])
        return [Finding("times", "warning", f"time jumps by {steps[i]:.3g} s per frame from {ids[i]} to {ids[i + 1]}, "
                        f"the usual step is {usual:.3g} s", values, "frames are missing, or the clock was set")]  # fmt: skip
    return [Finding("times", "ok", f"time goes on by {usual:.3g} s per frame", values)]
