"""Frame thinning: frames that show what the last one showed are left out before lifting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.associate.config import ThinConfig
from data_prep.errors import BadFrameError
from data_prep.scans import Frame, Scan

SAME_POSE, SAME_SIGHT = "thinned-same-pose", "thinned-same-sight"
_ROWS, _COLUMNS = 24, 32  # of the image that frames are compared by
_POINTS = 2048


def thin_frames(
    scan: Scan,
    frames: Sequence[int],
    config: ThinConfig | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[int], dict[str, int]]:
    """Choose the frames to mine; each is read once, none is lifted.

    A frame is compared with the last one kept: by pose as soon as two frames have different poses, until then by what
    they show. Frames that cannot be read are kept, so that mining reports them.

    Args:
        scan: the frames.
        frames: positions to choose from, in order.
        config: settings.
        on_frame: called with frames done and in all.

    Returns:
        Positions kept, and reason → frames left out.
    """
    config = config or ThinConfig()
    kept: list[int] = []
    reasons: Counter[str] = Counter()
    last: tuple[NDArray[np.float64], NDArray] | None = None
    first_pose: NDArray[np.float64] | None = None
    posed = False
    for done, position in enumerate(frames, start=1):
        try:
            frame = scan[position]
        except BadFrameError:
            kept.append(position)
            on_frame(done, len(frames))
            continue
        pose, sight = frame.T_world_points, _sight(frame)
        first_pose = pose if first_pose is None else first_pose
        posed = posed or not np.allclose(pose, first_pose, atol=1e-6)
        reason = None
        if last is not None and posed and not _moved(last[0], pose, config):
            reason = SAME_POSE
        elif last is not None and not posed and not _differ(last[1], sight, config.change):
            reason = SAME_SIGHT
        if reason is None:
            kept.append(position)
            last = (pose, sight)
        else:
            reasons[reason] += 1
        on_frame(done, len(frames))
    return kept, dict(sorted(reasons.items()))


def _moved(a: NDArray[np.float64], b: NDArray[np.float64], config: ThinConfig) -> bool:
    way = float(np.linalg.norm(a[:3, 3] - b[:3, 3]))
    cosine = (np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2
    return way >= config.move or float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))) >= config.turn


def _sight(frame: Frame) -> NDArray:
    """(24, 32) brightness of the first image without its mean, or the (n, 3) cells of a meter that points lie in."""
    if not frame.views:
        rows = np.linspace(0, len(frame.points) - 1, min(len(frame.points), _POINTS)).astype(np.int64)
        return np.unique(np.floor(frame.points[np.unique(rows)]).astype(np.int64), axis=0)
    gray = frame.views[0].image.mean(axis=2, dtype=np.float32)
    rows, columns = (
        np.linspace(0, size, parts + 1).astype(np.int64)[:-1]
        for size, parts in ((gray.shape[0], _ROWS), (gray.shape[1], _COLUMNS))
    )
    if gray.shape[0] >= _ROWS and gray.shape[1] >= _COLUMNS:
        sums = np.add.reduceat(np.add.reduceat(gray, rows, axis=0), columns, axis=1)
        counts = np.diff([*rows, gray.shape[0]])[:, None] * np.diff([*columns, gray.shape[1]])[None]
        gray = sums / counts
    return np.asarray(gray - gray.mean())  # exposure is no news


def _differ(a: NDArray, b: NDArray, change: float) -> bool:
    if a.dtype == np.int64 or b.dtype == np.int64:
        if a.dtype != b.dtype:
            return True
        both = len(np.unique(np.concatenate([a, b]), axis=0))
        return (2 * both - len(a) - len(b)) / both >= change
    # A pixel has changed when it is off by more than a quarter of the contrast of the picture.
    limit = max(0.25 * float(a.std() + b.std()) / 2, 4.0)
    return a.shape != b.shape or float(np.mean(np.abs(a - b) > limit)) >= change
