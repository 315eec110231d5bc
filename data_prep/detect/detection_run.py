"""Detection run: a detector over a whole scan, into one COCO file that can be continued and extended."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.detect.coco_format import coco_rows, write_coco
from data_prep.detect.detections import Detections2D
from data_prep.detect.detector import Detector, Segmenter
from data_prep.detect.journal import SETTINGS, DetectionJournal, FrameEntries
from data_prep.detect.nms import Selection
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.labels import normalize_label
from data_prep.scans.frame import Frame, View
from data_prep.scans.scan import Scan
from data_prep.storage.files import require_writable


@dataclass
class DetectionRun:
    """Progress and outcome of a detection run.

    Attributes:
        out: the COCO file.
        frames: frames asked for.
        reused: frames done by earlier runs.
        detected: frames done now.
        images, detections: found now.
        words: label → number of detections found now.
        bad_frames: (frame id, error) of unreadable frames.
    """

    out: Path
    frames: int
    reused: int = 0
    detected: int = 0
    images: int = 0
    detections: int = 0
    words: Counter[str] = field(default_factory=Counter)
    bad_frames: list[tuple[str, str]] = field(default_factory=list)


def detect_scan(
    scan: Scan,
    detector: Detector,
    out: str | Path,
    *,
    selection: Selection | None = None,
    segmenter: Segmenter | None = None,
    frames: Sequence[int] | None = None,
    batch_size: int = 8,
    on_batch: Callable[[DetectionRun], None] = lambda run: None,
) -> DetectionRun:
    """Detect objects in every image of a scan and write them as COCO JSON.

    Another call with the same settings reads only the frames that the file lacks. A killed run continues where it
    stopped and ends with the same file. Unreadable frames are listed and skipped.

    Args:
        scan: the frames; each is read once, with all its views.
        detector: any :class:`~data_prep.detect.detector.Detector`.
        out: the COCO file. File names are those of the views, relative to the scan's root.
        selection: thresholds and suppression.
        segmenter: adds a mask to each box; None: boxes only.
        frames: positions in the scan; default: all.
        batch_size: number of images per call of the detector; frames are not split.
        on_batch: called before the first and after each batch.

    Raises:
        InputError: ``out`` was made with other settings or is being written; a threshold for an unknown label.
        BadDatasetError: ``out`` is another file, the scan has no images, or no frame could be read.
    """
    out, selection = Path(out), selection or Selection()
    _require_known(selection, detector)
    if batch_size < 1:
        raise InputError(f"is {batch_size}", field="batch_size", fix="give 1 or more")
    if out.is_dir():
        raise InputError("is a folder", source=out, field="out", fix="name a file, like detections.json")
    require_writable(out.parent, "out")
    ids = scan.frame_ids()
    chosen = list(range(len(ids))) if frames is None else list(frames)
    about = dict(detector.settings())
    settings = {
        "source": scan.source,
        "detector": about,
        # Files keep the name that this setting had first, so that runs of version 0.1.0 continue.
        "selection": {
            key.replace("nms_across_labels", "nms_across_words"): value
            for key, value in asdict(selection).items()
        },
        "masks": None if segmenter is None else dict(segmenter.settings()),
    }
    journal = DetectionJournal(out, settings)
    run = DetectionRun(out, len(chosen))
    try:
        missing = [position for position in chosen if ids[position] not in journal.done]
        run.reused = len(chosen) - len(missing)
        on_batch(run)
        for batch in _batches(scan, missing, ids, batch_size, run):
            _detect_batch(batch, detector, segmenter, selection, journal, run)
            on_batch(run)
        if not journal.done:
            raise _nothing_read(scan, run)
    except BaseException:
        journal.close()
        raise
    if journal.has_news or not out.exists():
        info = {
            "source": "detector",
            "description": f"{about.get('name', 'detector')} on {scan.source}",
            SETTINGS: settings,
        }
        write_coco(out, journal.entries(ids), info)
    journal.remove()
    return run


def _batches(
    scan: Scan, positions: Sequence[int], ids: Sequence[str], batch_size: int, run: DetectionRun
) -> Iterator[list[Frame]]:
    """Whole frames with at least ``batch_size`` images in total; the next frame is read ahead in a thread."""

    def read(position: int) -> Frame | BadFrameError:
        try:
            return scan[position]
        except BadFrameError as error:
            return error

    batch: list[Frame] = []
    with ThreadPoolExecutor(1) as reader:  # one: scans need not be thread-safe
        ahead = [reader.submit(read, position) for position in positions[:1]]
        for place, position in enumerate(positions):
            frame = ahead.pop().result()
            ahead = [reader.submit(read, following) for following in positions[place + 1 : place + 2]]
            if isinstance(frame, BadFrameError):
                run.bad_frames.append((ids[position], str(frame)))
                continue
            batch.append(frame)
            if sum(len(one.views) for one in batch) >= batch_size:
                yield batch
                batch = []
    if batch:
        yield batch


def _detect_batch(
    batch: Sequence[Frame],
    detector: Detector,
    segmenter: Segmenter | None,
    selection: Selection,
    journal: DetectionJournal,
    run: DetectionRun,
) -> None:
    views = [view for frame in batch for view in frame.views]
    found = detector.detect([view.image for view in views], selection.lowest_score) if views else []
    kept = [_finish(view, one, segmenter, selection) for view, one in zip(views, found, strict=True)]
    answers = iter(zip(views, kept, strict=True))
    lines = []
    for frame in batch:
        entries = []
        for _ in frame.views:
            view, one = next(answers)
            image = {
                "file_name": view.name,
                "width": view.camera.width,
                "height": view.camera.height,
                "frame": frame.id,
            }
            entries.append((image, coco_rows(one)))
        lines.append(FrameEntries(frame.id, entries))
    journal.add(lines)
    run.detected += len(batch)
    run.images += len(views)
    run.detections += sum(map(len, kept))
    run.words.update(label for one in kept for label in one.labels)


def _finish(
    view: View, found: Detections2D, segmenter: Segmenter | None, selection: Selection
) -> Detections2D:
    kept = selection.apply(found, view.camera.width, view.camera.height)
    if segmenter is None or not len(kept):
        return kept
    masks, sure = segmenter.segment(view.image, kept.boxes)
    some = np.empty(len(kept), object)  # a box with an empty mask keeps no mask
    some[:] = [mask if mask.any() else None for mask in masks]
    attributes: dict[str, Any] = {**kept.attributes, "mask_score": sure.astype(np.float64)}
    return Detections2D(kept.boxes, kept.scores, kept.labels, kept.ids, some, attributes)


def _require_known(selection: Selection, detector: Detector) -> None:
    known = [normalize_label(label) for label in detector.labels]
    for word in selection.min_scores:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0)
            raise InputError(
                f"{word!r} is not in the vocabulary",
                field="min_score",
                fix=f"nearest label: {near[0] if near else 'none'}",
            )


def _nothing_read(scan: Scan, run: DetectionRun) -> BadDatasetError:
    first = f", first: {run.bad_frames[0][1]}" if run.bad_frames else ""
    return BadDatasetError(
        f"not one of {run.frames} frames could be read{first}", source=scan.root, fix="check source and root"
    )
