"""``clip2 prep``: triplets mined from a scan and 2D detections."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.frame_choice import require_images
from clip2.cli.mining_options import MiningCommand, show_mining
from data_prep.errors import InputError
from data_prep.triplets.config import MiningConfig

if TYPE_CHECKING:
    from rich.console import Console

    from data_prep.scale import Engine
    from data_prep.scans import Scan
    from data_prep.triplets import Manifest
    from data_prep.triplets.folder import Part


@dataclass(kw_only=True)
class Prep(MiningCommand):
    """Mine triplets (points, image crop, labels) from a scan and 2D detections, or unlabeled objects from the scan alone.

    Killed or interrupted, the same command continues where it stopped. Frames that cannot be read are listed
    and skipped. Exit code 0: done; 2: bad input, or no frame could be read.
    """

    out: str
    """Folder or URL for the triplets, new or started by the same command."""
    caption_template: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Sentence with {} for the label, added to the texts of every object; may be repeated."""
    captions: Annotated[Path | None, tyro.conf.arg(metavar="JSONL")] = None
    """Captions of single crops: lines of {"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}, or "detection" with
    the annotation id instead of "box"."""
    proposals: Literal["auto", "lidar", "room"] | None = None
    """Without detections and images: write what `clip2 recognize` finds in each frame, with the label "object" and no
    crop, for clip2 train with --teacher-points. auto decides by the scan's extent."""
    part: Annotated[str | None, tyro.conf.arg(metavar="K/N")] = None
    """Mine only the K-th of N pieces of the frames, for N machines that write into one --out; the last completes it."""

    def run(self) -> int:
        """Mine and report."""
        from pydantic_core import to_jsonable_python

        from clip2.cli.terminal import Console
        from clip2.progress import FrameBar
        from data_prep.detect import CocoDetections
        from data_prep.scale import create_engine
        from data_prep.storage.urls import as_url
        from data_prep.triplets.captions import Captions
        from data_prep.triplets.folder import WHOLE, Part
        from data_prep.triplets.mining import mine

        console = Console(stderr=True)
        config = self.configuration()
        options = self.reader_options()
        part = WHOLE if self.part is None else Part.parse(self.part)
        engine = create_engine(self.engine, self.workers)
        with console.status("looking for the scan"):
            scan = self.open_scan()
        if self.proposals is not None:
            return self._mine_proposals(scan, config, engine, console)
        require_images(
            scan,
            ", and triplets are cut out by 2D boxes",
            "; for unlabeled objects of bare clouds add --proposals auto; to name them: clip2 recognize",
        )
        frames = self.frame.choose(scan)
        captions = None if self.captions is None else Captions.load(self.captions)
        with self.detections_file(scan, console) as file, FrameBar("mining", console) as bar:
            manifest = mine(
                scan,
                CocoDetections.load(Path(file), min_score=config.min_score, images=self.detection_images),
                self.out,
                config,
                frames=frames,
                captions=captions,
                scan_options=to_jsonable_python(options),
                root=as_url(self.root),
                engine=engine,
                part=part,
                on_frame=lambda progress: show_mining(bar, progress),
                on_thin=lambda done, total: bar.show(done, total, "searching for redundant frames"),
            )
        if self.json:
            print(json_format.dumps(_summary(manifest, self.out), ensure_ascii=False))
        else:
            _report(Console(), manifest, self.out, nothing_to_do=not bar.moved, part=part)
        readable = manifest.totals["frames"] - manifest.totals["bad_frames"]
        # With more parts than frames some parts have no frame, which is no error.
        return 0 if readable or (part and not manifest.totals["frames"]) else 2

    def _mine_proposals(self, scan: Scan, config: MiningConfig, engine: Engine, console: Console) -> int:
        from pydantic_core import to_jsonable_python

        from clip2.cli.terminal import Console
        from clip2.progress import FrameBar
        from clip2.recognition.unlabeled import mine_proposals
        from data_prep.storage.urls import as_url
        from data_prep.triplets.folder import WHOLE

        assert self.proposals is not None
        self._require_no_detector_options(config)
        with FrameBar("mining", console) as bar:
            manifest = mine_proposals(
                scan,
                self.out,
                self.proposals,
                frames=self.frame.choose(scan),
                max_points=config.max_points,
                objects_per_shard=config.objects_per_shard,
                scan_options=to_jsonable_python(self.reader_options()),
                root=as_url(self.root),
                engine=engine,
                on_frame=lambda progress: show_mining(bar, progress),
            )
        if self.json:
            print(json_format.dumps(_summary(manifest, self.out), ensure_ascii=False))
        else:
            _report(Console(), manifest, self.out, nothing_to_do=not bar.moved, part=WHOLE)
        return 0 if manifest.totals["frames"] > manifest.totals["bad_frames"] else 2

    def _require_no_detector_options(self, config: MiningConfig) -> None:
        """Reject what has no effect on proposals."""
        given = {
            "--detections": self.detections,
            "--detection-images": self.detection_images,
            "--captions": self.captions,
            "--part": self.part,
        }
        plain, free = MiningConfig(), ("max_points", "objects_per_shard")
        changed = {name: getattr(config, name) != getattr(plain, name) for name in MiningConfig.model_fields}
        options = [flag for flag, value in given.items() if value is not None]
        options += [f"--{name.replace('_', '-')}" for name in changed if changed[name] and name not in free]
        if options:
            raise InputError(
                "has no effect with --proposals, which needs no detector",
                field=options[0],
                fix=f"leave out {options[0]} or --proposals",
            )

    def configuration(self) -> MiningConfig:
        """See :meth:`MiningCommand.configuration`."""
        config = super().configuration()
        typed = self.typed_settings()
        for name in ("associate", "thin"):
            if name in typed and not getattr(config, name).enabled:
                first = next(iter(typed[name])).replace("_", "-")
                raise InputError(f"is for --{name}", source=f"--{name}.{first}", fix=f"add --{name}")
        return config

    def typed_settings(self) -> dict[str, Any]:
        """See :meth:`MiningCommand.typed_settings`."""
        typed = super().typed_settings()
        return {**typed, "caption_templates": self.caption_template} if self.caption_template else typed


def _summary(manifest: Manifest, out: str) -> dict[str, Any]:
    return {
        "out": out,
        **manifest.totals,
        "shards": len(manifest.shards),
        "merged": manifest.merged,
        "thinned_frames": manifest.thinned_frames,
        "rejections": manifest.rejections,
        "skipped_detections": manifest.skipped_detections,
        "bad_frame_list": [bad.model_dump() for bad in manifest.bad_frames],
        "is_ground_truth": manifest.is_ground_truth,
        "config_hash": manifest.config_hash,
    }


def _report(console: Console, manifest: Manifest, out: str, nothing_to_do: bool, part: Part) -> None:
    from rich.table import Table

    from data_prep.report.counted import counted
    from data_prep.storage.store import open_store
    from data_prep.triplets.folder import unfinished_parts

    totals = manifest.totals
    if nothing_to_do:
        what = f"{part} of {out}" if part else out
        console.print(f"nothing to do: {what} is complete", highlight=False, markup=False)
    found = "proposals" if "proposals" in manifest.options else "detections"
    table = Table(found, "count", title=f"{counted(totals['frames'], 'frame')} of {manifest.source}")
    table.columns[1].justify = "right"
    table.add_row("mined", f"{totals['objects']:,}", style="bold")
    if manifest.merged:
        table.add_row("further views of one of these", f"{manifest.merged:,}")
    for reason, count in sorted(manifest.rejections.items(), key=lambda item: -item[1]):
        table.add_row(f"rejected: {reason}", f"{count:,}")
    for reason, count in manifest.skipped_detections.items():
        table.add_row(f"unusable in the file: {reason}", f"{count:,}", style="yellow")
    console.print(table)
    for reason, count in manifest.thinned_frames.items():
        console.print(f"{count:,} more frames left out: {reason}", highlight=False)
    for bad in manifest.bad_frames[:10]:
        console.print(f"bad frame {bad.frame}: {bad.error}", style="yellow", markup=False, highlight=False)
    if len(manifest.bad_frames) > 10:
        console.print(f"and {len(manifest.bad_frames) - 10:,} more bad frames, listed in the manifest")
    if manifest.is_ground_truth:
        console.print("The boxes are labels, not a detector's.")
    console.print(
        f"{counted(len(manifest.shards), 'shard')}, {totals['bytes'] / 1e6:.1f} MB in {out}",
        highlight=False,
        markup=False,
    )
    if part:
        missing = unfinished_parts(open_store(out), part.of)
        rest = f"still to finish: {', '.join(map(str, missing))}" if missing else "the set is whole"
        console.print(f"{part}; {rest}", highlight=False, markup=False)
