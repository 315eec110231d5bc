"""``clip2 convert``: conversion of any scan to our own folder layout."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from clip2.cli.frame_choice import FrameOptions
from clip2.cli.scan_options import ScanCommand
from data_prep.report.counted import counted


@dataclass(kw_only=True)
class Convert(ScanCommand):
    """Write a scan of any source as a `layout` folder: images as files, points as npz, poses and cameras as JSON.

    Detectors need image files and other tools need plain arrays; a bag has neither. Views keep their names, so
    detections made on the converted scan fit the source too. Killed or interrupted, the same command continues.
    """

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write, new or started by the same command."""
    frame: FrameOptions = field(default_factory=FrameOptions)

    def run(self) -> int:
        """Convert and report."""
        from clip2.cli.terminal import Console
        from clip2.progress import FrameBar
        from data_prep.scans.layout.save import save_layout

        scan = self.open_scan()
        frames = self.frame.choose(scan)
        with FrameBar("converting", Console(stderr=True)) as bar:
            converted = save_layout(scan, self.out, frames, bar.show)
        if self.json:
            print(json_format.dumps({"out": str(self.out), **asdict(converted)}, ensure_ascii=False))
            return 0
        console = Console(highlight=False, soft_wrap=True)
        for frame, error in converted.bad[:10]:
            console.print(f"bad frame {frame}: {error}", style="yellow", markup=False)
        if len(converted.bad) > 10:
            console.print(f"and {len(converted.bad) - 10:,} more bad frames")
        console.print(
            f"{counted(converted.written, 'frame')} written, {converted.kept:,} kept from before, {len(converted.bad):,} left out: {self.out}",
            markup=False,
        )
        return 0
