"""Label folders: their report, and writing that a kill at any moment leaves whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.autolabel.formats import LabelFormat
from data_prep.autolabel.labels import LabeledFrame
from data_prep.errors import BadDatasetError, InputError
from data_prep.scans import Scan
from data_prep.storage.files import move_durably, require_writable, write_atomically
from data_prep.storage.lock import LOCK
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.urls import as_path, as_url
from data_prep.storage.versioned import FileFormat

MINED = "mined"  # folder of the triplets that the boxes are fitted to
BOXES = "boxes.jsonl"
_HEADER = FileFormat("clip2-labels", 1)
_REPORT, _NEW = "labels.json", ".new"


@dataclass
class LabelReport:
    """Outcome of a labeling run; the file ``labels.json``.

    Attributes:
        label_format: name of the format.
        settings: all that decides the labels; a folder is continued with equal settings only.
        frames: labeled, those without any object included.
        boxes, tracks: written; 0 tracks: objects are not followed.
        labels: label → boxes.
        unknown_labels: label → boxes left out because the format has no class for it.
        rejections: reason → detections that gave no box.
        bad_frames: id and error of each frame that could not be read.
        is_ground_truth: the 2D boxes are labels, not a detector's.
    """

    label_format: str
    settings: dict[str, Any]
    frames: int = 0
    boxes: int = 0
    tracks: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    unknown_labels: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, int] = field(default_factory=dict)
    bad_frames: list[dict[str, str]] = field(default_factory=list)
    is_ground_truth: bool | None = None


def require_label_folder(out: str | Path, label_format: str) -> Path:
    """The folder, which is new, empty, or was begun by a run in the same format.

    Raises:
        InputError: a URL, or not writable.
        BadDatasetError: it holds something else.
    """
    if as_url(out) is not None:
        raise InputError("is a URL", source=str(out), field="out", fix="write into a folder of this machine")
    folder = as_path(out)
    require_writable(folder, "out")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if _REPORT in names:
        other = _read(folder).get("label_format")
        if other != label_format:
            raise BadDatasetError(
                f"holds labels in {other}", source=folder, field="out", fix="give another folder"
            )
    elif set(names) - {LOCK} and MINED not in names:
        raise BadDatasetError(
            f"holds {names[0]!r} and no labels",
            source=folder,
            field="out",
            fix="give a folder that is new or empty",
        )
    return folder


def finished_report(folder: Path, settings: dict[str, Any]) -> LabelReport | None:
    """The report of a finished run, or None.

    Raises:
        BadDatasetError: it had other settings.
    """
    if not (folder / _REPORT).exists():
        return None
    found = _read(folder)
    for name, value in settings.items():
        if found["settings"].get(name) != value:
            raise BadDatasetError(
                f"was {found['settings'].get(name)!r}, is {value!r} now",
                source=folder,
                field=name,
                fix="give the same options, or another folder",
            )
    return LabelReport(**{name: found[name] for name in LabelReport.__dataclass_fields__})


def publish(
    folder: Path, scan: Scan, writer: LabelFormat, report: LabelReport, frames: list[LabeledFrame]
) -> None:
    """Write all files into a new folder, then move them to their places; the report comes last."""
    new = folder / _NEW
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    writer.write(new, scan, frames)
    with (new / BOXES).open("w", encoding="utf-8") as file:
        for frame in frames:
            for label in frame.labels:
                line = {"frame": frame.id, "timestamp": frame.timestamp, **label.to_json()}
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    for path in sorted(new.iterdir()):
        target = folder / path.name
        if target.is_dir():  # of a run that was killed while it moved files
            shutil.rmtree(target)
        move_durably(path, target)
    new.rmdir()
    text = json.dumps({**_HEADER.header, **vars(report)}, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / _REPORT, lambda path: path.write_text(text, encoding="utf-8"))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / _REPORT
    try:
        found: dict[str, Any] = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise BadDatasetError(
            f"cannot be read ({error})", source=path, fix="delete it and run again"
        ) from None
    _HEADER.require(found, path, fix="give another folder", error=BadDatasetError)
    return found
