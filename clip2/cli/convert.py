"""``clip2 convert``: any scan as a folder in our own layout."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from clip2.cli.frame_choice import FrameOptions
from data_prep.report.counted import counted


@dataclass
class Convert:
    """Write a scan of any source as a `layout` folder: images as files, points as npz, poses and cameras as JSON.

    Detectors want image files and other tools want plain arrays; a bag has neither. Views keep their names, so
    detections made on the export fit the source too. Killed or interrupted, the same command continues.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Reader of the scan: rosbag, kitti, nuscenes, rgbd, procedural, …"""
    root: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")]
    """Folder or file of the scan."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write, new or begun by the same command."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the reader as key=value, for example points=/velodyne_points; may be repeated."""
    frame: FrameOptions = field(default_factory=FrameOptions)
    json: bool = False
    """Print one JSON object instead of text."""

    def run(self) -> int:
        """Convert and report."""
        from rich.console import Console

        from clip2.cli.key_values import reader_options
        from clip2.progress import FrameBar
        from data_prep.scans import open_scan
        from data_prep.scans.layout.save import save_layout

        options = reader_options(self.source, self.option)
        scan = open_scan(self.source, self.root, **options)
        frames = self.frame.choose(scan)
        with FrameBar("converting", Console(stderr=True)) as bar:
            export = save_layout(scan, self.out, frames, bar.show)
        if self.json:
            print(json_format.dumps({"out": str(self.out), **asdict(export)}, ensure_ascii=False))
            return 0
        console = Console(highlight=False, soft_wrap=True)
        for frame, error in export.bad[:10]:
            console.print(f"bad frame {frame}: {error}", style="yellow", markup=False)
        if len(export.bad) > 10:
            console.print(f"and {len(export.bad) - 10:,} more bad frames")
        console.print(
            f"{counted(export.written, 'frame')} written, {export.kept:,} were there, {len(export.bad):,} left out: {self.out}",
            markup=False,
        )
        return 0
