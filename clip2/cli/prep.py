"""``clip2 prep``: scans and 2D detections become triplets."""

from __future__ import annotations

import json as json_format
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.frame_choice import FrameOptions, require_images
from data_prep.report.counted import counted

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.progress import FrameBar
    from data_prep.associate import Associator
    from data_prep.detect import CocoDetections
    from data_prep.lift import Lifter
    from data_prep.scans import Scan
    from data_prep.triplets import Manifest
    from data_prep.triplets.captions import Captions
    from data_prep.triplets.mining import Progress
    from data_prep.triplets.parts import Part


@dataclass
class Prep:
    """Mine triplets (points, image crop, words) from a scan and 2D detections.

    Killed or interrupted, the same command continues where it stopped. Frames that cannot be read are listed
    and skipped. Exit code 0: done; 2: bad input, or no frame could be read.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Reader of the scan: kitti, kitti-tracking, sunrgbd, rgbd, procedural, …"""
    root: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")]
    """Folder of the scan; what a URL like s3://bucket/scan holds is first copied to this machine, all of it."""
    out: str
    """Folder or URL for the triplets, new or begun by the same command."""
    detections: str | None = None
    """COCO JSON with 2D boxes or masks for the scan's images. Only `procedural` can do without."""
    detection_images: Path | None = None
    """COCO file with the images and categories, where --detections is a bare list of results."""
    min_score: float = 0.3
    """Detections below are left out."""
    lifter: str = "auto"
    """How points are cut out: lidar, rgbd, frustum-dbscan (the recipe of CLIP²), auto."""
    lifter_option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Setting of the lifter as key=value, for example min_points=20; may be repeated."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the reader as key=value, for example sequences=0001,0004; may be repeated."""
    frame: FrameOptions = field(default_factory=FrameOptions)
    word: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Other words for a label of the detector, like pedestrian=person or cyclist=bicycle,rider; misc= leaves its objects
    out. May be repeated."""
    margin: float = 0.1
    """Context around the box in the crop, as a share of its sides."""
    max_points: int = 16384
    """Larger objects keep a random choice of this many points."""
    objects_per_shard: int = 1000
    """A shard is closed after the frame in which it reaches this many objects."""
    word_file: Annotated[Path | None, tyro.conf.arg(metavar="JSON")] = None
    """The same for many labels: {"pedestrian": ["person"], "misc": []}. --word goes before it."""
    caption_template: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Sentence with {} for the word that every object gets as a further text; may be repeated."""
    captions: Annotated[Path | None, tyro.conf.arg(metavar="JSONL")] = None
    """Captions of single crops: lines of {"image": NAME, "box": [x0, y0, x1, y1], "caption": TEXT}, or "detection" with
    the annotation id for "box"."""
    thin: bool = False
    """Leave out frames that show what the last one showed: by pose, or where there are no poses, by picture."""
    thin_option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Setting of --thin as key=value: move (meters), turn (degrees), change (share of the picture); may be repeated."""
    associate: bool = False
    """Bring the detections of one object in many frames and cameras together: one triplet with its best crops, its
    clouds united where it stands still, and the word most of them say. Without it every detection is an object."""
    associate_option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Setting of --associate as key=value: looks=4, max_gap=1.0, min_sightings=1, min_score, …; may be repeated."""
    workers: int | None = None
    """Frames mined at once: processes of this machine (default 1), or with --engine ray of the cluster (default all)."""
    engine: Literal["processes", "ray"] = "processes"
    """Where frames are mined. The triplets are the same, byte for byte."""
    part: Annotated[str | None, tyro.conf.arg(metavar="K/N")] = None
    """Mine only the K-th of N pieces of the frames, for N machines that write into one --out; the last makes it whole."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def run(self) -> int:
        """Mine and report."""
        from pydantic_core import to_jsonable_python
        from rich.console import Console

        from clip2.cli.key_values import reader_options
        from clip2.progress import FrameBar
        from data_prep.scale import create_engine
        from data_prep.scans import open_scan
        from data_prep.storage.urls import as_url
        from data_prep.triplets.mining import mine
        from data_prep.triplets.parts import WHOLE, Part

        console = Console(stderr=True)
        options = reader_options(self.source, self.option)
        part = WHOLE if self.part is None else Part.parse(self.part)
        engine = create_engine(self.engine, self.workers)
        with console.status("looking for the scan"):
            scan = open_scan(self.source, self.root, **options)
        require_images(
            scan, ", and triplets are cut out by 2D boxes", "; objects of a bare cloud: clip2 recognize"
        )
        lifter = self._lifter()
        frames = self.frame.choose(scan)
        associate, words, captions = self._associator(), self._all_words(), self._captions()
        frames, thinned = self._thin(scan, frames, console)
        with self._detections_file(scan, console) as file, FrameBar("mining", console) as bar:
            manifest = mine(
                scan,
                self._detections(Path(file)),
                lifter,
                self.out,
                frames=frames,
                words=words,
                margin=self.margin,
                max_points=self.max_points,
                objects_per_shard=self.objects_per_shard,
                options={"scan": to_jsonable_python(options)},
                root=as_url(self.root),
                associate=associate,
                thinned=thinned,
                captions=captions,
                engine=engine,
                part=part,
                on_frame=lambda progress: _show(bar, progress),
            )
        if self.json:
            print(json_format.dumps(_summary(manifest, self.out), ensure_ascii=False))
        else:
            _report(Console(), manifest, self.out, nothing_to_do=not bar.moved, part=part)
        readable = manifest.totals["frames"] - manifest.totals["bad_frames"]
        # With more parts than frames, some have none; that is nobody's fault.
        return 0 if readable or (part and not manifest.totals["frames"]) else 2

    def _detections_file(self, scan: Scan, console: Console) -> Any:
        from data_prep.errors import InputError
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

    def _detections(self, file: Path) -> CocoDetections:
        from data_prep.detect import CocoDetections

        return CocoDetections.load(file, min_score=self.min_score, images=self.detection_images)

    def _associator(self) -> Associator | None:
        from clip2.cli.key_values import typed_options
        from data_prep.associate import AssociationConfig, Associator
        from data_prep.errors import InputError

        if not self.associate:
            if self.associate_option:
                raise InputError("is for --associate", source="--associate-option", fix="add --associate")
            return None
        wanted = {field.name: type(field.default) for field in fields(AssociationConfig)}
        settings = typed_options(
            self.associate_option, wanted, option="--associate-option", owner="--associate"
        )
        return Associator(AssociationConfig(**settings), max_points=self.max_points)

    def _thin(self, scan: Scan, frames: list[int], console: Console) -> tuple[list[int], dict[str, int]]:
        from clip2.cli.key_values import typed_options
        from data_prep.associate import ThinConfig, thin_frames
        from data_prep.errors import InputError

        if not self.thin:
            if self.thin_option:
                raise InputError("is for --thin", source="--thin-option", fix="add --thin")
            return frames, {}
        wanted = {field.name: type(field.default) for field in fields(ThinConfig)}
        settings = typed_options(self.thin_option, wanted, option="--thin-option", owner="--thin")
        with console.status("looking for frames that show nothing new") as status:
            return thin_frames(
                scan,
                frames,
                ThinConfig(**settings),
                lambda done, total: status.update(
                    f"looking for frames that show nothing new: {done}/{total}"
                ),
            )

    def _all_words(self) -> dict[str, tuple[str, ...]]:
        from data_prep.labels import normalize_label
        from data_prep.triplets.captions import load_words

        filed = {} if self.word_file is None else load_words(self.word_file)
        # By the words' own spelling, so that one given here replaces one of the file.
        return {
            normalize_label(label): texts for label, texts in [*filed.items(), *_words(self.word).items()]
        }

    def _captions(self) -> Captions | None:
        from data_prep.triplets.captions import Captions

        if self.captions is None and not self.caption_template:
            return None
        return Captions.load(self.captions, self.caption_template)

    def _lifter(self) -> Lifter:
        from typing import get_type_hints

        from clip2.cli.key_values import typed_options
        from data_prep.lift import create_lifter

        default = create_lifter(self.lifter)
        wanted = {**get_type_hints(type(default.filters)), **get_type_hints(type(default.config))}
        settings = typed_options(
            self.lifter_option, wanted, option="--lifter-option", owner=f"lifter {self.lifter}"
        )
        return create_lifter(self.lifter, **settings)


def _words(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    from data_prep.errors import InputError

    words = {}
    for entry in given:
        label, equals, texts = entry.partition("=")
        if not equals or not label.strip():
            raise InputError(
                f"{entry!r} is not LABEL=WORD,WORD", source="--word", fix="like pedestrian=person"
            )
        words[label] = tuple(text.strip() for text in texts.split(",") if text.strip())
    return words


class _SimulatedDetections:
    """The detections that a simulated scan makes of itself, in a file for as long as they are read."""

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


def _show(bar: FrameBar, progress: Progress) -> None:
    bad = (f"{progress.bad_frames:,} bad frames",) if progress.bad_frames else ()
    found = (f"{progress.objects:,} objects", f"{progress.refused:,} refused", *bad)
    bar.show(progress.frames, progress.frames_total, *found)


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

    from data_prep.storage.store import open_store
    from data_prep.triplets.parts import unfinished_parts

    totals = manifest.totals
    if nothing_to_do:
        what = f"{part} of {out}" if part else out
        console.print(f"nothing to do: {what} is complete", highlight=False, markup=False)
    table = Table("detections", "count", title=f"{counted(totals['frames'], 'frame')} of {manifest.source}")
    table.columns[1].justify = "right"
    table.add_row("mined", f"{totals['objects']:,}", style="bold")
    if manifest.merged:
        table.add_row("further looks at one of these", f"{manifest.merged:,}")
    for reason, count in sorted(manifest.rejections.items(), key=lambda item: -item[1]):
        table.add_row(f"refused: {reason}", f"{count:,}")
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
