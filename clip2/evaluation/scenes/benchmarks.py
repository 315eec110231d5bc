"""Benchmarks on labeled scans, for a model or a file of objects that any tool found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from clip2.evaluation.protocol import PROTOCOLS, Protocol, Settings
from clip2.evaluation.result import Conditions, EvalResult
from clip2.evaluation.scenes.box_benchmarks import boxes, detection
from clip2.evaluation.scenes.labeled_scan import EXPECTED, OPTIONS, LabeledFrame, LabeledScan, guess_source
from clip2.evaluation.scenes.naming_benchmarks import open_set, tracking
from clip2.evaluation.scenes.point_benchmarks import lifting, proposals
from clip2.evaluation.scenes.scores import Scores
from clip2.evaluation.subject import Subject
from data_prep.errors import BadDatasetError

Run = Callable[[Subject, LabeledScan, Settings], Scores]
Fits = Callable[[Subject, LabeledScan, LabeledFrame], bool]
_LABELS = {"labels": "labels to score, with commas; all that occur without"}


class SceneBenchmark(Protocol):
    """A benchmark on the labeled frames of a scan.

    Args:
        name, summary: as of every protocol.
        run: measures; it iterates over the scan, which counts frames and objects.
        options: names of further options, each with its meaning.
        fits: whether ``all`` includes it, by the first labeled frame.
        min_points: labeled objects with fewer points are ignored, unless the option says otherwise.
    """

    expected, needs_model = EXPECTED, False

    def __init__(
        self,
        name: str,
        summary: str,
        run: Run,
        options: Mapping[str, str],
        fits: Fits = lambda subject, scan, first: True,
        min_points: int = 1,
    ) -> None:
        self.name, self.summary, self._run, self._fits = name, summary, run, fits
        self.options, self._min_points = {**OPTIONS, **options}, min_points

    def finds(self, root: Path) -> bool:
        return guess_source(root) is not None

    def suits(self, subject: Subject, root: Path, options: Mapping[str, str]) -> bool:
        scan = LabeledScan.open(root, Settings(options=options))
        try:
            first = next(iter(scan))
        except BadDatasetError:  # the scan of a data set without its labels
            return False
        return self._fits(subject, scan, first)

    def require(self, root: Path, options: Mapping[str, str]) -> None:
        if "source" not in options:
            super().require(root, options)

    def run(self, subject: Subject, root: Path, settings: Settings) -> EvalResult:
        scan = LabeledScan.open(root, settings, self._min_points)
        found = self._run(subject, scan, settings)
        few = "without points" if scan.min_points == 1 else f"with fewer than {scan.min_points} points"
        small = f", {scan.ignored} {few} ignored" if scan.ignored else ""
        alone = ["--workers has no effect here: one process reads the frames"] if settings.workers > 1 else []
        frames = f"the first {scan.frames}" if scan.limit is not None else str(scan.frames)
        return EvalResult(
            benchmark=self.name,
            summary=self.summary,
            count=scan.objects,
            metrics=found.metrics,
            conditions=Conditions(
                counted=f"{scan.objects:,} objects{small}, in {frames} labeled of {len(scan.scan)} frames",
                points="",
                color=_color(subject, scan, settings),
                axes="the scan's z-up world",
                other={"reader": scan.scan.source, **found.stated},
            ),
            data_digest=scan.digest,
            classes=found.classes,
            curves=found.curves,
            notes=(*found.notes, *alone, *(f"left out: {line}" for line in scan.bad)),
        )


def _color(subject: Subject, scan: LabeledScan, settings: Settings) -> str:
    if subject.loaded is None:
        return ""
    return subject.color_state(settings.color) if scan.colored else "none in the data"


def _has_images(subject: Subject, scan: LabeledScan, first: LabeledFrame) -> bool:
    return subject.loaded is not None and bool(first.frame.views)


def _has_tracks(subject: Subject, scan: LabeledScan, first: LabeledFrame) -> bool:
    return subject.loaded is not None and first.truth.tracks is not None and len(scan) > 1


for _benchmark in (
    SceneBenchmark(
        "detection",
        "average precision of named boxes in labeled scans",
        detection,
        {**_LABELS, "base": "labels that training knew; the others are novel"},
    ),
    SceneBenchmark("boxes", "3D IoU of boxes with labeled ones, whatever their names", boxes, _LABELS),
    SceneBenchmark(
        "proposals",
        "recall and objectness of class-agnostic proposals",
        proposals,
        {
            "compare": "points or boxes; default: boxes of ScanNet, SUN RGB-D and where no points are given, else points",
            "complete": "yes: everything that is an object is labeled, so that precision means something",
        },
        min_points=10,
    ),
    SceneBenchmark("lifting", "point IoU of objects lifted from labeled 2D boxes", lifting, {}, _has_images),
    SceneBenchmark(
        "tracking", "association of objects over frames, and their names", tracking, _LABELS, _has_tracks
    ),
    SceneBenchmark(
        "open-set",
        "rejection of labeled objects that none of the labels names",
        open_set,
        {"labels": "labels to ask for, with commas; every second one that occurs without"},
        min_points=5,
    ),
):
    PROTOCOLS.register(_benchmark.name)(_benchmark)
