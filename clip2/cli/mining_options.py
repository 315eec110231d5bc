"""Options shared by the commands that lift 2D detections of a scan: ``prep`` and ``label``."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.config_flags import ConfigOptions, flags_of, given, with_flags
from clip2.cli.frame_choice import FrameOptions
from clip2.cli.scan_options import ScanCommand
from data_prep.config import load_config, read_yaml
from data_prep.errors import InputError
from data_prep.triplets.config import MiningConfig

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.progress import FrameBar
    from data_prep.scans import Scan
    from data_prep.triplets.mining import Progress

MiningFlags = flags_of(MiningConfig)


@dataclass(kw_only=True)
class MiningCommand(ScanCommand):
    """Base of the commands that lift 2D detections of a scan."""

    detections: str | None = None
    """COCO JSON with 2D boxes or masks for the scan's images. Only `procedural` works without it."""
    detection_images: Path | None = None
    """COCO file with the images and categories, if --detections is a bare list of results."""
    frame: FrameOptions = field(default_factory=FrameOptions)
    lifter: str | None = None
    """How points are cut out: lidar, rgbd, frustum-dbscan (the recipe of CLIP²), auto. Short for --lift.name."""
    label_map: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Other labels for a label of the detector, like pedestrian=person or cyclist=bicycle,rider; misc= leaves its
    objects out. May be repeated."""
    label_map_file: Annotated[Path | None, tyro.conf.arg(metavar="JSON")] = None
    """The same for many labels: {"pedestrian": ["person"], "misc": []}. --label-map overrides it."""
    workers: int | None = None
    """Frames processed at once: processes of this machine (default 1), or with --engine ray of the cluster (default
    all)."""
    engine: Literal["processes", "ray"] = "processes"
    """Where frames are processed. The result is the same, byte for byte."""
    settings: ConfigOptions = field(default_factory=ConfigOptions)
    mining: MiningFlags = field(default_factory=MiningFlags)  # type: ignore[valid-type]

    def configuration(self) -> MiningConfig:
        """Configuration from --config, changed by --set, changed by flags.

        Raises:
            InputError: a key or value is wrong, or a setting has no effect.
        """
        base = load_config(MiningConfig, self.settings.config, self.settings.set, _read_config)
        typed = self.typed_settings()
        if self.label_map or self.label_map_file:
            typed["labels"] = {**base.labels, **self._label_map()}
        return with_flags(base, typed)

    def typed_settings(self) -> dict[str, Any]:
        """Nested mapping of the settings given by flags."""
        typed = given(self.mining)
        if self.lifter is not None:
            typed["lift"] = {**typed.get("lift", {}), "name": self.lifter}
        return typed

    def detections_file(self, scan: Scan, console: Console) -> Any:
        """Context manager of the path of the detections; a synthetic scan's are simulated.

        Raises:
            InputError: none are given for a real scan.
        """
        from data_prep.storage.urls import as_here

        if self.detections is not None:
            return nullcontext(as_here(self.detections))
        if not scan.simulates_detector:
            raise InputError(
                "is missing",
                source="--detections",
                fix=f"give the COCO JSON of a detector run on this {self.source} scan",
            )
        return _SimulatedDetections(scan, console)

    def _label_map(self) -> dict[str, tuple[str, ...]]:
        from data_prep.labels import normalize_label
        from data_prep.triplets.captions import load_label_map

        labels = {} if self.label_map_file is None else load_label_map(self.label_map_file)
        labels = {normalize_label(label): texts for label, texts in labels.items()}
        for entry in self.label_map:
            label, equals, texts = entry.partition("=")
            if not equals or not label.strip():
                raise InputError(
                    f"{entry!r} is not LABEL=LABEL,LABEL", source="--label-map", fix="like pedestrian=person"
                )
            labels[normalize_label(label)] = tuple(text.strip() for text in texts.split(",") if text.strip())
        return labels


def show_mining(bar: FrameBar, progress: Progress) -> None:
    """Move the bar to a state of mining."""
    bad = (f"{progress.bad_frames:,} bad frames",) if progress.bad_frames else ()
    found = (f"{progress.objects:,} objects", f"{progress.rejected:,} rejected", *bad)
    bar.show(progress.frames, progress.frames_total, *found)


def _read_config(path: str | Path) -> Any:
    """Configuration file, or the configuration that a manifest holds."""
    values = read_yaml(path)
    if isinstance(values, dict) and values.get("format") == "clip2-triplets":
        values = values.get("options", {}).get("mining")
        if values is None:
            raise InputError(
                "was written without a configuration", source=path, fix="give a set of this version, or YAML"
            )
    return values


class _SimulatedDetections:
    """Detections of a synthetic scan's simulated detector, in a temporary file."""

    def __init__(self, scan: Any, console: Console) -> None:
        self._scan, self._console = scan, console
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Path:
        path = Path(self._folder.name) / "simulated_detections.json"
        with self._console.status("simulating detections"):
            self._scan.save_detections(path)
        return path

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
