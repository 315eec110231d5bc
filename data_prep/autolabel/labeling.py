"""Labeling: a scan and 2D detections become 3D labels in a format that detectors are trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data_prep.associate import AssociationConfig, Observation
from data_prep.autolabel.boxing import FrameBoxer, FrameObjects
from data_prep.autolabel.drafts import BoxKey, Draft
from data_prep.autolabel.duplicates import SAME_SPACE, without_duplicates
from data_prep.autolabel.formats import FORMATS, LabelFormat
from data_prep.autolabel.labels import LabeledFrame
from data_prep.autolabel.motion import turn_and_time
from data_prep.autolabel.report import MINED, LabelReport, finished_report, publish, require_label_folder
from data_prep.autolabel.sequences import sequence_places
from data_prep.autolabel.tracks import Tracks, by_frame, follow, has_poses
from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry.box_completion import CompletedBox, SeenObject
from data_prep.geometry.scan_sizes import ScanSizes
from data_prep.geometry.typical_sizes import TypicalSize
from data_prep.scale import Engine, InProcess
from data_prep.scans import Scan
from data_prep.storage.lock import FolderLock
from data_prep.triplets import Manifest, MiningConfig, TripletSet, mine, open_triplets
from data_prep.triplets.frame_miner import DetectionSource
from data_prep.triplets.mining import Progress

LOW_QUALITY = "low-quality"
_AT_ONCE = 64  # frames whose clouds are in memory while their boxes are fitted


def label_scan(
    scan: Scan,
    detections: DetectionSource,
    out: str | Path,
    label_format: str,
    config: MiningConfig | None = None,
    *,
    tracks: bool | None = None,
    min_quality: float = 0.0,
    frames: Sequence[int] | None = None,
    scan_options: Mapping[str, Any] | None = None,
    root: str | Path | None = None,
    engine: Engine | None = None,
    on_frame: Callable[[Progress], None] = lambda progress: None,
    on_box: Callable[[int, int], None] = lambda done, total: None,
) -> LabelReport:
    """Label a scan; called again after a kill, it continues and ends with the same bytes.

    The folder gets the format's files; ``boxes.jsonl`` with everything known about every box; ``labels.json``, the
    report; and in ``mined`` the triplets that the boxes are fitted to.

    Args:
        scan: the frames.
        detections: 2D boxes and labels for each view.
        out: folder, new or begun by the same call.
        label_format: one of :data:`data_prep.autolabel.FORMATS`.
        config: of mining and association; default: all defaults. Its ``associate.enabled`` has no effect.
        tracks: follow objects over frames; None: if frames have times or poses.
        min_quality: boxes of lower quality are left out, 0..1.
        frames: positions in the scan; default: all.
        scan_options, root, engine, on_frame: as in :func:`data_prep.mine`.
        on_box: called with the frames whose boxes are fitted, and how many there are: each is fitted twice, by typical
            sizes and by those that the scan then shows.

    Raises:
        InputError: an unknown format, another process writes there, tracks of frames without times and poses, or no
            label that the format knows.
        BadDatasetError: no image of the scan has detections, none of them became an object, or the folder holds
            something else or was begun with other settings.

    >>> import tempfile
    >>> from data_prep import CocoDetections, open_scan
    >>> scan, folder = open_scan("procedural", "street", frames=1), tempfile.TemporaryDirectory()
    >>> scan.save_detections(f"{folder.name}/detections.json")
    >>> found = CocoDetections.load(f"{folder.name}/detections.json")
    >>> report = label_scan(scan, found, f"{folder.name}/labels", "kitti")
    >>> report.frames, report.boxes > 0
    (1, True)
    """
    writer = FORMATS[label_format]()
    config = config or MiningConfig()
    if config.thin.enabled:
        raise InputError("leaves frames without labels", field="thin", fix="choose frames with --every")
    folder = require_label_folder(out, label_format)
    folder.mkdir(parents=True, exist_ok=True)
    engine = engine or InProcess()
    with FolderLock(folder):
        single = config.associate.model_copy(update={"enabled": False})
        manifest = mine(
            scan,
            detections,
            folder / MINED,
            config.model_copy(update={"associate": single}),
            frames=frames,
            scan_options=scan_options,
            root=root,
            engine=engine,
            on_frame=on_frame,
        )
        _require_objects(manifest, scan)
        associate = config.associate.model_dump(mode="json", exclude_defaults=True, exclude={"enabled"})
        settings = {
            "mined": manifest.config_hash,
            "tracks": tracks,
            "associate": associate,
            "min_quality": min_quality,
        }
        earlier = finished_report(folder, settings)
        if earlier is not None:
            return earlier
        report = LabelReport(
            label_format,
            settings,
            rejections=dict(manifest.rejections),
            bad_frames=[bad.model_dump() for bad in manifest.bad_frames],
            is_ground_truth=manifest.is_ground_truth,
        )
        ids, bad = scan.frame_ids(), {bad.frame for bad in manifest.bad_frames}
        positions = [p for p in (range(len(ids)) if frames is None else frames) if ids[p] not in bad]
        job = _Job(scan, positions, [ids[p] for p in positions], open_triplets(folder / MINED), writer)
        followed = job.follow(config.associate, tracks)
        labeled = job.label(followed, report, engine, min_quality, on_box)
        if followed is not None and followed.posed:
            labeled = turn_and_time(labeled, config.associate.frame_time)
        publish(folder, scan, writer, report, labeled)
    return report


@dataclass(frozen=True)
class _Job:
    """What is labeled.

    Attributes:
        scan: the frames.
        positions, ids: of those that could be read.
        mined: one triplet per detection, in the order of the frames.
        writer: of the format.
    """

    scan: Scan
    positions: Sequence[int]
    ids: Sequence[str]
    mined: TripletSet
    writer: LabelFormat

    def follow(self, config: AssociationConfig, wanted: bool | None) -> Tracks | None:
        """Tracks, if they are wanted and possible."""
        posed = has_poses(self.scan)
        possible = posed or any(e.provenance.timestamp is not None for e in self.mined.iter_entries())
        if wanted and not possible:
            raise InputError(
                "need times or poses of the frames, and this scan has neither",
                source=self.scan.root,
                field="tracks",
                fix="label each frame on its own: --tracks no",
            )
        if not (possible if wanted is None else wanted):
            return None
        places = sequence_places(self.scan, self.positions)
        sequences = [places[id][0] for id in self.ids]
        return follow(by_frame(self.mined, self.ids), sequences, config, posed)

    def label(
        self,
        tracks: Tracks | None,
        report: LabelReport,
        engine: Engine,
        min_quality: float,
        on_box: Callable[[int, int], None],
    ) -> list[LabeledFrame]:
        """All frames with their boxes; the report is filled in."""
        drafts: list[Draft] = []
        boxes: dict[BoxKey, CompletedBox] = {}
        unknown: Counter[str] = Counter()
        shown, total = ScanSizes(), 2 * len(self.ids)
        for done, (_, some, fitted) in enumerate(self._fitted(tracks, Counter(), engine), 1):
            shown.add(some.values(), fitted)
            on_box(done, total)
        for draft, some, fitted in self._fitted(tracks, unknown, engine, shown.sizes()):
            boxes.update(zip(some, fitted, strict=True))
            drafts.append(draft.light())
            on_box(len(self.ids) + len(drafts), total)
        labeled = [draft.labeled(boxes) for draft in drafts]
        if not any(frame.labels for frame in labeled):
            raise _no_class(self.writer, unknown)
        fitted_boxes = sum(len(frame.labels) for frame in labeled)
        labeled = [frame.only(lambda label: label.quality >= min_quality) for frame in labeled]
        poor = fitted_boxes - sum(len(frame.labels) for frame in labeled)
        labeled, twice = without_duplicates(labeled)
        labels = [label for frame in labeled for label in frame.labels]
        report.frames, report.boxes = len(labeled), len(labels)
        report.tracks = len({label.track for label in labels} - {None})
        report.labels = dict(Counter(label.label for label in labels).most_common())
        report.unknown_labels = dict(unknown.most_common())
        for reason, count in ((LOW_QUALITY, poor), (SAME_SPACE, twice)):
            if count:
                report.rejections[reason] = count
        if tracks is not None:
            report.rejections.update(tracks.left_out)
        return labeled

    def _fitted(
        self,
        tracks: Tracks | None,
        unknown: Counter[str],
        engine: Engine,
        sizes: Mapping[str, TypicalSize] | None = None,
    ) -> Iterator[tuple[Draft, dict[BoxKey, SeenObject], list[CompletedBox]]]:
        """Each frame, the objects of it that are to be fitted, and their boxes."""
        frames = zip(self.positions, by_frame(self.mined, self.ids), strict=True)
        while batch := [self._draft(*one, tracks, unknown) for one in islice(frames, _AT_ONCE)]:
            to_fit = [draft.to_fit() for draft in batch]
            items = [
                FrameObjects(draft.id, draft.position, tuple(some.values()))
                for draft, some in zip(batch, to_fit, strict=True)
            ]
            with closing(engine.map(FrameBoxer(self.scan, sizes), items)) as results:
                yield from zip(batch, to_fit, results, strict=True)

    def _draft(
        self,
        position: int,
        frame: tuple[str, tuple[Observation, ...]],
        tracks: Tracks | None,
        unknown: Counter[str],
    ) -> Draft:
        return Draft.of(frame[0], position, frame[1], tracks, self.writer, unknown)


def _require_objects(manifest: Manifest, scan: Scan) -> None:
    if manifest.totals["objects"]:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in manifest.rejections.items())
    if manifest.bad_frames:
        reasons += f"; first bad frame: {manifest.bad_frames[0].error}"
    raise BadDatasetError(
        f"no detection became an object ({reasons or 'none is above the least score'})",
        source=scan.root,
        field="detections",
        fix="look at the scan with clip2 check, or lower --min-score",
    )


def _no_class(writer: LabelFormat, unknown: Mapping[str, int]) -> InputError:
    return InputError(
        f"has no class for any label found ({', '.join(list(unknown)[:8])})",
        field=f"format {writer.name}",
        fix=f"map them with --label-map LABEL=ONE to one of {', '.join(writer.classes)}, or use another --format",
    )
