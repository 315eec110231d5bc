"""Plan of ``clip2 auto``: minutes, disk and memory from a short measurement on frames of the scan."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clip2.auto.config import AutoConfig
from data_prep.errors import BadFrameError, InputError

if TYPE_CHECKING:
    from data_prep.scans import Scan

_PILOT_FRAMES = 4


@dataclass(frozen=True)
class PlanRow:
    """Cost of one stage.

    Attributes:
        stage: its name.
        work: what it goes through, for people.
        seconds: estimate; None: not measured.
        disk: bytes that it writes; None: not measured.
    """

    stage: str
    work: str
    seconds: float | None
    disk: int | None = None


@dataclass(frozen=True)
class AutoPlan:
    """Estimates of all stages.

    Attributes:
        rows: in order.
        memory: bytes, highest of this process during the measurement.
    """

    rows: tuple[PlanRow, ...]
    memory: int

    @property
    def seconds(self) -> float:
        """Sum over the measured stages."""
        return sum(row.seconds or 0 for row in self.rows)


def make_plan(scan: Scan, config: AutoConfig, images: int) -> AutoPlan:
    """Mine a few frames into a temporary folder and estimate the whole from them.

    Args:
        scan: the opened scan.
        config: settings of the run; without ``detections`` only reading is measured.
        images: number of images of the scan.

    Raises:
        InputError: no frame of the pilot could be read.
    """
    from clip2.training.fabric import peak_memory

    frames = spread_over(len(scan), _PILOT_FRAMES)
    rows = []
    began = time.perf_counter()
    unreadable = [error for frame in frames if (error := _reading_error(scan, frame))]
    if len(unreadable) == len(frames):
        raise InputError(f"no frame of {len(frames)} can be read: {unreadable[0]}", source=scan.root)
    reading = (time.perf_counter() - began) / len(frames)
    rows.append(PlanRow("check", "8 frames", 8 * reading + 5))
    if config.detections is None:
        rows.append(PlanRow("detect", f"{images:,} images with {config.detector}", None))
        rows.append(PlanRow("prep", f"{len(scan):,} frames, at least reading them", len(scan) * reading))
    else:
        seconds, size, objects = _mine(scan, frames, config)
        many = len(scan) / len(frames)
        work = f"{len(scan):,} frames, about {objects * many:,.0f} objects before merging"
        rows.append(PlanRow("prep", work, seconds * many, round(size * many)))
    rows.append(PlanRow("embed", "labels" if config.bank else f"labels and crops by {config.clip}", None))
    rows.append(
        PlanRow("train", f"{config.minutes:g} minutes, as configured", 60 * config.minutes, 50_000_000)
    )
    rows.append(PlanRow("recognize", f"{min(config.recognized_frames, len(scan))} frames", None))
    import torch

    return AutoPlan(tuple(rows), peak_memory(torch.device("cpu")))


def spread_over(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` positions of ``count``, evenly spread from the middle of each stretch.

    >>> spread_over(10, 3)
    [1, 5, 8]
    """
    wanted = min(count, wanted)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def _reading_error(scan: Scan, frame: int) -> BadFrameError | None:
    """What is wrong with a frame; None if it can be read. A bad frame is left out by every stage."""
    try:
        _ = scan[frame].points
    except BadFrameError as error:
        return error
    return None


def _mine(scan: Scan, frames: Sequence[int], config: AutoConfig) -> tuple[float, int, int]:
    """Seconds, bytes and objects of mining some frames."""
    from data_prep.detect import CocoDetections
    from data_prep.triplets.mining import mine

    # Thinning drops frames by their neighbors, and the frames of a pilot have none.
    mining = config.mining.model_copy(
        update={"thin": config.mining.thin.model_copy(update={"enabled": False})}
    )
    assert config.detections is not None
    detections = CocoDetections.load(Path(config.detections), min_score=mining.min_score)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        manifest = mine(scan, detections, str(Path(folder) / "pilot"), mining, frames=list(frames))
        seconds = time.perf_counter() - began
    return seconds, manifest.totals["bytes"], manifest.totals["objects"]
