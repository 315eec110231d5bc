"""Journal of a detection run, on disk beside its result: a run killed at any moment continues from it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.detect.coco_format import Entry, RowReader
from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.lock import FolderLock
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text

SETTINGS = "settings"  # key of the result's `info`
_ROWS = "batches.jsonl"


@dataclass(frozen=True)
class FrameEntries:
    """The images of one frame with their annotations."""

    frame: str
    entries: Sequence[Entry]


class DetectionJournal:
    """Batches of frames, one line each, and the frames of an earlier result of the same run.

    The folder ``.NAME.journal`` beside the result holds it until :meth:`remove`. A line cut short by a kill is dropped,
    so a batch is present whole or not at all.

    Args:
        out: the COCO file that will be written.
        settings: everything that determines the detections; only a journal or result with equal settings is continued.

    Raises:
        InputError: other settings, or another process writes the journal.
        BadDatasetError: ``out`` exists and is not the result of such a run, or the journal is damaged.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.out = out
        self.folder = out.with_name(f".{out.name}.journal")
        self._positions: dict[str, tuple[int, int]] = {}  # frame → offset of its line, place in it
        wanted: dict[str, Any] = json.loads(json.dumps(settings))
        self._earlier = _read_result(out, wanted) if out.exists() else []
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        try:
            self._open(wanted)
        except BaseException:
            self._lock.release()
            raise

    @property
    def done(self) -> frozenset[str]:
        """Ids of the finished frames."""
        return frozenset((*self._positions, *(one.frame for one in self._earlier)))

    @property
    def has_news(self) -> bool:
        """Whether the journal holds frames that ``out`` may lack."""
        return bool(self._positions)

    def add(self, batch: Sequence[FrameEntries]) -> None:
        """Append a batch of frames; it is on disk when this returns."""
        self._append(batch)
        self._flush()

    def entries(self, order: Sequence[str]) -> Entries:
        """All images: first those of the frames in ``order``, in that order, then the rest."""
        for one in self._earlier:
            if one.frame not in self._positions:
                self._append([one])
        self._flush()
        known = [frame for frame in order if frame in self._positions]
        others = sorted(self._positions.keys() - set(known), key=lambda frame: self._positions[frame])
        return Entries(self.folder / _ROWS, [self._positions[frame] for frame in (*known, *others)])

    def close(self) -> None:
        """Release the lock; the journal stays for the next run."""
        self._file.close()
        self._lock.release()

    def remove(self) -> None:
        """Delete the journal once the result holds everything."""
        self.close()
        shutil.rmtree(self.folder)

    def _append(self, batch: Sequence[FrameEntries]) -> None:
        line = json.dumps([{"frame": one.frame, "entries": list(one.entries)} for one in batch])
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(line.encode() + b"\n")
        self._positions |= {one.frame: (offset, place) for place, one in enumerate(batch)}

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _open(self, settings: dict[str, Any]) -> None:
        path = self.folder / _ROWS
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BadDatasetError("is no file", source=path, fix="delete the folder and start over")
        self._file = path.open("a+b")
        try:
            self._file.seek(0)
            first = self._file.readline()
            if not first.endswith(b"\n"):  # new, or killed before anything was found
                self._file.truncate(0)
                self._file.write(json.dumps(settings).encode() + b"\n")
                self._file.flush()
                return
            _require_same(_decode(first, path, 1), settings, self.folder)
            number = 1
            while True:
                offset, line = self._file.tell(), self._file.readline()
                if not line.endswith(b"\n"):
                    self._file.truncate(offset)
                    return
                number += 1
                batch = _decode(line, path, number)
                _require_batch(batch, path, number)
                self._positions |= {one["frame"]: (offset, place) for place, one in enumerate(batch)}
        except BaseException:
            self._file.close()
            raise


class Entries:
    """The images of a journal, read from disk on every iteration."""

    def __init__(self, path: Path, positions: Sequence[tuple[int, int]]) -> None:
        self._path, self._positions = path, positions

    def __iter__(self) -> Iterator[Entry]:
        with self._path.open("rb") as file:
            latest, batch = -1, []
            for offset, place in self._positions:
                if offset != latest:
                    file.seek(offset)
                    latest, batch = offset, parse_json(file.readline())
                yield from batch[place]["entries"]


def difference(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> str | None:
    """A description of the first setting that differs, or None.

    >>> difference({"nms": {"iou": 0.5}}, {"nms": {"iou": 0.6}})
    'nms.iou: was 0.5, is 0.6 now'
    """
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = difference(old, new, f"{prefix}{key}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{key}: was {json.dumps(old)}, is {json.dumps(new)} now"
    return None


def _require_same(before: Any, now: dict[str, Any], source: Path) -> None:
    other = difference(before, now) if isinstance(before, dict) else "it has none"
    if other:
        raise InputError(
            f"was made with other settings ({other})",
            source=source,
            fix="give the same options, or another --out, or delete it to start over",
        )


def _read_result(out: Path, settings: dict[str, Any]) -> list[FrameEntries]:
    """The frames of an earlier result."""
    content = RowReader(out, None)
    before = content.info.get(SETTINGS)
    if not isinstance(before, dict):
        raise BadDatasetError(
            "is not the result of a detection run: it names no settings",
            source=out,
            field=f"info.{SETTINGS}",
            fix="give another --out, or delete it",
        )
    _require_same(before, settings, out)
    try:
        return list(_frames_of(parse_json(read_text(out)), out))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadDatasetError(
            f"holds rows that no detection run wrote ({error!r})",
            source=out,
            fix="restore it, give another --out, or delete it",
        ) from error


def _frames_of(content: dict[str, Any], out: Path) -> Iterator[FrameEntries]:
    names = {category["id"]: category["name"] for category in content["categories"]}
    rows: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        id, category = annotation.pop("image_id"), annotation.pop("category_id")
        del annotation["id"]
        rows[id].append({"label": names[category], **annotation})
    frames: dict[str, list[Entry]] = {}
    for image in content["images"]:
        id = image.pop("id")
        if not isinstance(image.get("frame"), str):
            raise BadDatasetError(
                f"{image['file_name']} does not say which frame it is of",
                source=out,
                field="images.frame",
                fix="give another --out, or delete it",
            )
        frames.setdefault(image["frame"], []).append((image, rows[id]))
    return (FrameEntries(frame, entries) for frame, entries in frames.items())


def _require_batch(batch: Any, path: Path, number: int) -> None:
    try:
        sound = all(
            isinstance(one["frame"], str)
            and all(isinstance(image, dict) for image, _ in one["entries"])
            and all(isinstance(row["label"], str) for _, rows in one["entries"] for row in rows)
            for one in batch
        )
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise BadDatasetError(
            f"line {number} lists no frames with their images and rows",
            source=path,
            fix="delete the folder and start over",
        )


def _decode(line: bytes, path: Path, number: int) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise BadDatasetError(
            f"line {number} is damaged ({error})", source=path, fix="delete the folder and start over"
        ) from error
