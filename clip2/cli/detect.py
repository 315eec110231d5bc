"""``clip2 detect``: 2D boxes, and masks, for every image of a scan."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from clip2.cli.frame_choice import FrameOptions, require_images
from clip2.cli.scan_options import ScanCommand
from data_prep.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.progress import FrameBar
    from data_prep.detect.detection_run import DetectionRun
    from data_prep.detect.detector import Detector, Segmenter
    from data_prep.detect.nms import Selection
    from data_prep.detect.vocabulary import Vocabulary


@dataclass(kw_only=True)
class Detect(ScanCommand):
    """Detect objects in the images of a scan with a 2D detector, and write them as COCO JSON.

    After an interruption, the same command continues where it stopped; on a complete file it reads only new frames.
    Unreadable frames are listed and skipped. Exit code 0: done; 2: bad input, or no frame could
    be read.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = ""
    """Reader of the scan: kitti, kitti-tracking, nuscenes, sunrgbd, scannet, rgbd, rosbag, layout …"""
    root: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")] = ""
    """Folder or file of the scan; the contents of a URL like s3://bucket/scan are first copied to this machine."""
    list: bool = False
    """List detectors with license and size, and whether they give boxes or masks; needs nothing else."""
    vocabulary: str | None = None
    """Labels to search for: coco, lvis, objects365, nuscenes, nuscenes23, scannet200, a text file with one label per
    line, or labels like "mug,bottle". A detector with fixed labels keeps these of its own; default: all of them."""
    out: Path | None = None
    """COCO JSON to write, new or started by the same command. Required."""
    detector: str | None = None
    """Zero-shot detection model of Hugging Face: a repository or a folder; --list names some. Or a .yaml file that
    describes a detector exported to ONNX. With --name-with: a generator of masks, SAM or SAM 2. Default:
    google/owlv2-base-patch16-ensemble; with --name-with facebook/sam2.1-hiera-small."""
    name_with: str | None = None
    """CLIP model (NAME/TAG of open_clip, hf-hub:org/repo, local-dir:FOLDER) that gives the masks of a generator, which
    knows no labels, those of --vocabulary by their crops."""
    revision: str | None = None
    """Commit, tag or branch of the detector's repository."""
    masks: str | None = None
    """Promptable segmentation model that adds a mask to each box: facebook/sam2.1-hiera-small, facebook/sam-vit-base, or a
    folder."""
    min_score: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Drop detections below: a number (default 0.3), label=number for a single label, or a YAML file with such pairs,
    `default` for all others. May be repeated."""
    nms: float = 0.5
    """Of two boxes with the same label and a higher IoU, drop the one with the lower score."""
    nms_across_labels: float | None = None
    """The same for boxes with different labels; large vocabularies have several labels for one thing. Default: keep all."""
    max_boxes: int = 300
    """Keep at most this many boxes per image, best first."""
    tiles: int | None = None
    """Also detect in overlapping tiles of this side in pixels, for small objects in large images."""
    tile_overlap: float = 0.25
    """Overlap of neighboring tiles, as a share of their side."""
    batch_size: int = 8
    """Images per forward pass."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, auto."""
    precision: str = "auto"
    """fp32, fp16, bf16; auto: bf16 (else fp16) on a GPU, fp32 on a CPU."""
    frame: FrameOptions = field(default_factory=FrameOptions)

    def run(self) -> int:
        """Detect and report."""
        from clip2.cli.terminal import Console

        if self.list:
            return _list_detectors(self.json)
        for value, field_name in ((self.source, "SOURCE"), (self.root, "ROOT"), (self.out, "--out")):
            if not value:
                raise InputError(
                    "is missing",
                    field=field_name,
                    fix="like clip2 detect rgbd my_scan/ --vocabulary coco --out detections.json",
                )
        assert self.out is not None
        from clip2.progress import FrameBar
        from data_prep.detect.detection_run import detect_scan

        scan = self.open_scan()
        require_images(scan, " to detect in")
        frames = self.frame.choose(scan)
        selection = self._selection()  # before the model, which is slow to load
        with FrameBar("detecting", Console(stderr=True)) as bar:
            detector, segmenter = self._models()
            run = detect_scan(
                scan,
                detector,
                self.out,
                selection=selection,
                segmenter=segmenter,
                frames=frames,
                batch_size=self.batch_size,
                on_batch=lambda run: _show(bar, run),
            )
        if self.json:
            print(json_format.dumps(_summary(run), ensure_ascii=False))
        else:
            _report(Console(), run)
        return 0

    def _models(self) -> tuple[Detector, Segmenter | None]:
        from data_prep.detect.vocabulary import Vocabulary

        vocabulary = None if self.vocabulary is None else Vocabulary.load(self.vocabulary)
        detector: Any
        if self.name_with is not None:
            return self._named_masks(vocabulary), None
        if self.detector is not None and self.detector.endswith((".yaml", ".yml")):
            from data_prep.detect.onnx_detector import OnnxDetector

            detector = OnnxDetector(self.detector, vocabulary)
            return self._with_masks(detector)
        if vocabulary is None:
            raise _no_vocabulary()
        from data_prep.detect.catalog import OPEN_VOCABULARY
        from data_prep.detect.huggingface import HuggingFaceDetector

        detector = HuggingFaceDetector(
            self.detector or OPEN_VOCABULARY,
            vocabulary,
            device=self.device,
            precision=self.precision,
            batch_size=self.batch_size,
            revision=self.revision,
        )
        return self._with_masks(detector)

    def _named_masks(self, vocabulary: Vocabulary | None) -> Detector:
        if vocabulary is None:
            raise _no_vocabulary()
        if self.masks is not None or self.tiles is not None:
            raise InputError(
                "gives masks of whole images",
                field="--name-with",
                fix=f"leave out {'--masks' if self.masks is not None else '--tiles'}",
            )
        from clip2.teacher import Teacher
        from clip2.teacher.crop_namer import ClipCropNamer
        from data_prep.detect.catalog import MASK_GENERATOR
        from data_prep.detect.named_masks import NamedMasks

        assert self.name_with is not None
        namer = ClipCropNamer(Teacher.load(self.name_with, self.device), vocabulary)
        return NamedMasks(
            self.detector or MASK_GENERATOR,
            namer,
            device=self.device,
            precision=self.precision,
            revision=self.revision,
        )

    def _with_masks(self, detector: Any) -> tuple[Detector, Segmenter | None]:
        from data_prep.detect.segment import PromptableSegmenter
        from data_prep.detect.tiles import TiledDetector

        if self.tiles is not None:
            detector = TiledDetector(detector, self.tiles, self.tile_overlap)
        if self.masks is None:
            return detector, None
        return detector, PromptableSegmenter(self.masks, device=self.device, precision=self.precision)

    def _selection(self) -> Selection:
        from data_prep.detect.nms import Selection

        scores = _scores(self.min_score)
        return Selection(
            min_score=scores.pop(None, Selection.min_score),
            min_scores={word: score for word, score in scores.items() if word is not None},
            nms=self.nms,
            nms_across_labels=self.nms_across_labels,
            max_boxes=self.max_boxes,
        )


def _no_vocabulary() -> InputError:
    return InputError(
        "is missing", field="--vocabulary", fix='name what to search for: coco, or "mug,bottle"'
    )


def _list_detectors(as_json: bool) -> int:
    from dataclasses import asdict

    from data_prep.detect.catalog import KNOWN_DETECTORS

    if as_json:
        print(json_format.dumps([asdict(one) | {"megabytes": one.megabytes} for one in KNOWN_DETECTORS]))
        return 0
    from rich.table import Table

    from clip2.cli.terminal import Console

    table = Table("name", "gives", "labels", "MB", "license of the weights", box=None, header_style="bold")
    table.columns[0].overflow = "fold"
    table.columns[3].justify = "right"
    for one in KNOWN_DETECTORS:
        table.add_row(one.name, one.gives, one.labels, str(one.megabytes), one.license)
    console = Console()
    console.print(table)
    console.print(
        "boxes: --detector NAME; for an ONNX file --detector FILE.yaml. masks: --masks NAME adds them to boxes; "
        "--detector NAME --name-with CLIP finds everything and lets CLIP name it.",
        highlight=False,
        markup=False,
    )
    return 0


def _scores(given: tuple[str, ...]) -> dict[str | None, float]:
    """Label → threshold; key None: all other labels."""
    from data_prep.errors import InputError

    scores: dict[str | None, float] = {}
    for entry in given:
        word, equals, number = entry.rpartition("=")
        if not equals and entry.endswith((".yaml", ".yml")):
            scores |= _scores_of_file(Path(entry))
            continue
        try:
            scores[word.strip() if equals else None] = float(number)
        except ValueError:
            raise InputError(
                f"{entry!r} is neither a number, nor label=number, nor a YAML file",
                source="--min-score",
                fix="like --min-score 0.3 --min-score car=0.5",
            ) from None
    return scores


def _scores_of_file(path: Path) -> dict[str | None, float]:
    from data_prep.errors import InputError
    from data_prep.storage.reading import read_text
    from data_prep.yaml_text import parse_yaml

    try:
        content = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=path, field="--min-score") from error
    if not isinstance(content, dict):
        raise InputError("is not a list of LABEL: NUMBER", source=path, field="--min-score")
    for word, score in content.items():
        number = isinstance(score, (int, float)) and not isinstance(score, bool)
        if isinstance(score, int):  # YAML's are of any length
            number = number and abs(score) <= sys.float_info.max
        if not isinstance(word, str) or not number:
            raise InputError(
                f"is {score!r}", source=path, field=str(word), fix="write LABEL: NUMBER, like car: 0.5"
            )
    return {None if word == "default" else word: float(score) for word, score in content.items()}


def _show(bar: FrameBar, run: DetectionRun) -> None:
    bad = (f"{len(run.bad_frames):,} bad frames",) if run.bad_frames else ()
    done = run.reused + run.detected + len(run.bad_frames)
    bar.show(done, run.frames, f"{run.detections:,} boxes", *bad)


def _summary(run: DetectionRun) -> dict[str, Any]:
    return {
        "out": str(run.out),
        "frames": run.frames,
        "reused_frames": run.reused,
        "detected_frames": run.detected,
        "images": run.images,
        "detections": run.detections,
        "words": dict(run.words.most_common()),
        "bad_frame_list": [{"frame": frame, "error": error} for frame, error in run.bad_frames],
    }


def _report(console: Console, run: DetectionRun) -> None:
    from rich.table import Table

    if not run.detected and not run.bad_frames:
        console.print(
            f"nothing to do: {run.out} has all {run.frames:,} frames", highlight=False, markup=False
        )
        return
    table = Table("label", "boxes", title=f"{run.detections:,} boxes in {run.images:,} images")
    table.columns[1].justify = "right"
    for word, count in run.words.most_common(20):
        table.add_row(word, f"{count:,}")
    if len(run.words) > 20:
        rest = sum(count for _, count in run.words.most_common()[20:])
        table.add_row(f"{len(run.words) - 20:,} other labels", f"{rest:,}", style="dim")
    console.print(table)
    for frame, error in run.bad_frames[:10]:
        console.print(f"bad frame {frame}: {error}", style="yellow", markup=False, highlight=False)
    if len(run.bad_frames) > 10:
        console.print(f"and {len(run.bad_frames) - 10:,} more bad frames; --json lists them all")
    kept = f", {run.reused:,} from earlier runs" if run.reused else ""
    console.print(f"{run.detected:,} frames processed{kept}: {run.out}", highlight=False, markup=False)
