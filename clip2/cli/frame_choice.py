"""Frame selection of a scan: ``--frames``, ``--every``, ``--limit``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from data_prep.errors import InputError

if TYPE_CHECKING:
    from data_prep.scans import Scan

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?(?::(\d+))?")


@dataclass
class FrameOptions:
    """Options that select frames of a scan."""

    frames: Annotated[str | None, tyro.conf.arg(metavar="A:B|ID,ID..ID")] = None
    """Positions A:B as in Python, or ids and ranges of ids (both ends included), separated by commas."""
    every: int = 1
    """Of these, one frame in this many: neighboring video frames are nearly identical."""
    limit: int | None = None
    """Of these, at most this many frames."""

    def choose(self, scan: Scan) -> list[int]:
        """Positions in the scan; see :func:`choose_frames`."""
        return choose_frames(scan.frame_ids(), self.frames, self.every, self.limit)


def require_images(scan: Scan, what_for: str, otherwise: str = "") -> None:
    """Reject a scan without images.

    Args:
        scan: the scan.
        what_for: ends the sentence "holds no images …".
        otherwise: appended to the fix, another way out.
    """
    if not scan.image_names():
        raise InputError(
            f"holds no images{what_for}",
            source=scan.root,
            field=f"source {scan.source}",
            fix=f"give a scan with images (kitti, sunrgbd, rgbd …){otherwise}",
        )


def choose_frames(
    ids: Sequence[str], frames: str | None = None, every: int = 1, limit: int | None = None
) -> list[int]:
    """Positions of the chosen frames.

    Args:
        ids: ids of all frames of the scan, in order.
        frames: ``A:B`` or ``A:B:STEP``, positions as in Python (the end is left out, negative counts from the end);
            or ids and ranges of ids, separated by commas: ``0001_000000..0001_000008`` includes both ends.
        every: then keep one frame in this many.
        limit: then keep at most this many.

    Raises:
        InputError: an unknown id, a range that runs backwards, or nothing chosen.

    >>> choose_frames(["a", "b", "c", "d"], "a..c,d", every=2)
    [0, 2]
    """
    if every < 1:
        raise InputError(f"is {every}", source="--every", fix="give 1 or more")
    if limit is not None and limit < 1:
        raise InputError(f"is {limit}", source="--limit", fix="give 1 or more")
    chosen = list(range(len(ids)))
    if frames is not None:
        match = _SLICE.fullmatch(frames.strip())
        if match:
            start, stop, step = (None if part is None else int(part) for part in match.groups())
            if step == 0:
                raise InputError(
                    f"{frames!r} steps by 0", source="--frames", fix="give A:B:STEP, STEP 1 or more"
                )
            chosen = chosen[start:stop:step]
        else:
            chosen = _by_id(ids, frames)
    chosen = chosen[::every][:limit]
    if not chosen:
        raise InputError(
            f"{frames!r} chooses none of {len(ids)} frames",
            source="--frames",
            fix="give positions below that",
        )
    return chosen


def _by_id(ids: Sequence[str], frames: str) -> list[int]:
    position = {id: index for index, id in enumerate(ids)}

    def find(name: str) -> int:
        if name not in position:
            raise InputError(
                f"{name!r} is not a frame of the scan",
                source="--frames",
                fix=f"ids run from {ids[0]!r} to {ids[-1]!r}; positions are written A:B",
            )
        return position[name]

    chosen: list[int] = []
    for part in filter(None, (part.strip() for part in frames.split(","))):
        first, dots, last = part.partition("..")
        start, stop = find(first), find(last if dots else first)
        if stop < start:
            raise InputError(
                f"{part!r} runs backwards", source="--frames", fix="give the earlier frame first"
            )
        chosen.extend(range(start, stop + 1))
    return list(dict.fromkeys(chosen))
