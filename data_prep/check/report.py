"""Check report: all checks of one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.check.content import (
    check_cameras,
    check_depth,
    check_duplicates,
    check_images,
    check_labels,
    check_times,
)
from data_prep.check.finding import Finding
from data_prep.check.motion import Residuals, judge_motion, measure_motion
from data_prep.check.orientation import check_projection, check_up, surfaces_facing
from data_prep.check.sample import Sample, take_sample
from data_prep.check.units import check_units
from data_prep.errors import InputError
from data_prep.scans import Scan

_ORDER = {"error": 0, "warning": 1, "ok": 2}


@dataclass(frozen=True)
class CheckReport:
    """Contents of a scan, missing parts, and findings.

    Attributes:
        source, root: of the scan.
        frames: number of frames.
        there: name → description of the parts that the scan has.
        missing: names of parts that it lacks.
        findings: errors first.
        motion: residuals of each pair of neighboring frames.
        sample: the frames that were checked.
    """

    source: str
    root: str
    frames: int
    there: dict[str, str]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    motion: tuple[Residuals, ...]
    sample: Sample

    @property
    def ok(self) -> bool:
        """No finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, without the frames."""
        return {
            "source": self.source,
            "root": self.root,
            "ok": self.ok,
            "frames": self.frames,
            "frames_read": [note.id for _, note in sorted(self.sample.notes.items())],
            "there": self.there,
            "missing": list(self.missing),
            "findings": [finding.to_json() for finding in self.findings],
            "motion": [
                {"first": pair.first, "second": pair.second, "median_depth": round(pair.depth, 4)}
                | {"residuals": {k: round(v, 5) if np.isfinite(v) else None for k, v in pair.meters.items()}}
                for pair in self.motion
            ],
        }


def check_scan(scan: Scan, frames: int = 8) -> CheckReport:
    """Read a sample of a scan and check it.

    Args:
        scan: of any source.
        frames: approximate number to read, in pairs of neighbors spread over the scan.

    Raises:
        InputError: ``frames`` below 1.

    >>> from data_prep import open_scan
    >>> check_scan(open_scan("procedural", "room", frames=1), frames=1).ok
    True
    """
    if frames < 1:
        raise InputError(f"is {frames}", field="frames", fix="give 1 or more")
    sample = take_sample(scan, frames)
    motion = measure_motion(scan, sample)
    boxes, label_findings = check_labels(scan, sample)
    facing = surfaces_facing(sample)
    findings = [
        *_bad_frames(sample),
        *_notes(scan, sample),
        *judge_motion(motion),
        *check_depth(sample),
        *check_units(sample),
        *check_up(sample, facing),
        *check_projection(sample, facing),
        *check_cameras(sample),
        *check_images(sample),
        *check_times(sample),
        *check_duplicates(sample),
        *label_findings,
    ]
    there, missing = _contents(sample, boxes)
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    return CheckReport(
        scan.source, str(scan.root), len(scan), there, missing, tuple(findings), tuple(motion), sample
    )


def _bad_frames(sample: Sample) -> list[Finding]:
    if not sample.bad:
        return []
    good = len(sample.notes)
    values = {"bad frames": len(sample.bad), "good frames": good}
    id, complaint = sample.bad[0]
    told = f"{len(sample.bad)} of {good + len(sample.bad)} frames cannot be used, like {id}: {complaint}"
    return [Finding("frames", "warning" if good else "error", told, values, "mend them, or do without")]


def _notes(scan: Scan, sample: Sample) -> list[Finding]:
    """Oddities that the source reported when it was opened, and those of frames, of which the first is told."""
    fix = "look at the recording, if this is not what you expect"
    findings = [Finding("notes", "warning", note, fix=fix) for note in scan.notes]
    frames = list(sample.frames.values())
    if odd := [frame for frame in frames if frame.notes]:
        told = f"{len(odd)} of {len(frames)} frames are odd, like {odd[0].id}: {odd[0].notes[0]}"
        findings.append(Finding("frame notes", "warning", told, {"odd frames": len(odd)}, fix))
    return findings


def _contents(sample: Sample, boxes: int | None) -> tuple[dict[str, str], tuple[str, ...]]:
    frames = list(sample.frames.values())
    if not frames:
        return {}, ("frames",)
    sizes = [len(frame.points) for frame in frames]
    span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    there = {"points": f"{span} per frame"}
    views = frames[0].views
    if views:
        pictures = sorted(
            {f"{view.camera.width}x{view.camera.height}" for frame in frames for view in frame.views}
        )
        there["images"] = f"{len(views)} per frame, {', '.join(pictures)}"
        lenses = sorted({view.camera.distortion.model for frame in frames for view in frame.views})
        there["lens"] = ", ".join("no distortion" if lens == "none" else lens for lens in lenses)
    for name, held in (
        ("depth", [frame.depth is not None for frame in frames]),
        ("color of points", [frame.colors is not None for frame in frames]),
        ("intensity", [frame.intensity is not None for frame in frames]),
        ("times", [frame.timestamp is not None for frame in frames]),
    ):
        if any(held):
            there[name] = "every frame" if all(held) else f"{sum(held)} of {len(held)} frames"
    positions = np.array([frame.T_world_points[:3, 3] for frame in frames])
    traveled = float(np.ptp(positions, axis=0).max()) if len(frames) > 1 else 0.0
    if traveled > 1e-6:
        there["poses"] = f"positions spread over {traveled:.2f} m"
    elif (
        any(not np.allclose(f.T_world_points[:3, :3], np.eye(3), atol=1e-6) for f in frames)
        and len(frames) > 1
    ):
        there["poses"] = "orientation only, no positions"
    if boxes is not None:
        there["labels"] = f"{boxes:,} {'box' if boxes == 1 else 'boxes'} in the frames looked at"
    # A depth camera has no intensity and a LiDAR no depth image: neither counts as missing.
    other = () if "depth" in there or "intensity" in there else ("depth or intensity",)
    wanted = ("images", *other, "color of points", "poses", "times", "labels")
    return there, tuple(name for name in wanted if name not in there)
