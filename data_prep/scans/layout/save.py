"""Writer of the ``layout`` format: any scan as a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.images import read_image
from data_prep.scans.formats.text import read_json
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.layout.records import (
    BoxRecord,
    CameraRecord,
    DepthRecord,
    FrameRecord,
    ScanRecord,
    ViewRecord,
)
from data_prep.scans.scan import Scan
from data_prep.storage.files import require_writable, write_atomically
from data_prep.storage.parsing import array_bytes
from data_prep.storage.reading import read_file, stays_inside

_ORIGIN = ".export.json"  # the scan being converted, until scan.json is written (named by the first release)
_MILLIMETERS = np.float32(1000)


@dataclass(frozen=True)
class Conversion:
    """Outcome of a conversion.

    Attributes:
        written: frames written now.
        kept: frames that an earlier call had written.
        bad: (frame id, complaint) of frames that cannot be read; they are left out.
    """

    written: int
    kept: int
    bad: tuple[tuple[str, str], ...]


def save_layout(
    scan: Scan,
    folder: str | Path,
    frames: Sequence[int] | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Write a scan as a ``layout`` folder that reads back as the same frames, labels included.

    Image files of the source are copied as they are; other images become PNG. Views keep their names, so detections made
    for one fit the other. Killed at any moment and called again, it goes on: a frame counts when its JSON is
    written, and scan.json comes last.

    Args:
        scan: any source.
        folder: new, or begun by the same call.
        frames: positions in the scan; default: all. Frames of earlier calls stay.
        on_frame: called with frames done and frames in all.

    Raises:
        InputError: the folder holds something else, or cannot be written.
        BadFrameError: not one frame can be read.
    """
    folder = Path(folder)
    require_writable(folder)
    ids = scan.frame_ids()
    chosen = list(range(len(ids))) if frames is None else list(frames)
    _begin(scan, folder)
    written, kept, bad = 0, 0, []
    for done, position in enumerate(chosen):
        target = folder / "frames" / f"{ids[position]}.json"
        if target.exists():
            kept += 1
        else:
            _require_begun(folder)
            try:
                frame = scan[position]
                record = _write_frame(
                    frame, scan.annotations(position), scan.root, folder, scan.world_of(position)
                )
            except BadFrameError as error:
                bad.append((ids[position], str(error)))
            else:
                _write_json(target, _without_nulls(record.model_dump()))
                written += 1
        on_frame(done + 1, len(chosen))
    _require_begun(folder)
    there = {path.stem for path in (folder / "frames").glob("*.json")}
    if not there:
        raise BadFrameError(
            f"has no frame that can be read; the first: {bad[0][1] if bad else 'none was asked for'}",
            source=scan.root,
            fix="look at the source with clip2 check",
        )
    whole = ScanRecord(units="m", up="z", frames=[id for id in ids if id in there], about=_origin(scan))
    _write_json(folder / "scan.json", whole.model_dump())
    (folder / _ORIGIN).unlink(missing_ok=True)
    return Conversion(written, kept, tuple(bad))


def _begin(scan: Scan, folder: Path) -> None:
    """Refuse a folder with another scan's frames; leave a note for the next call."""
    origin = _origin(scan)
    for name, key in (("scan.json", "about"), (_ORIGIN, None)):
        path = folder / name
        if path.exists():
            before = read_json(path)
            if (before if key is None else before.get(key)) != origin:
                raise InputError(
                    "is of another scan",
                    source=path,
                    field=key,
                    fix="give a new folder, or the scan it was begun with",
                )
            break
    else:
        if folder.exists() and not all(path.name.endswith(".part") for path in folder.iterdir()):
            raise InputError(
                "is not empty and holds no converted scan", source=folder, fix="give a new folder"
            )
    if not (folder / "scan.json").exists():
        _write_json(folder / _ORIGIN, origin)  # first of all: who finds it goes on
    (folder / "frames").mkdir(exist_ok=True)


def _require_begun(folder: Path) -> None:
    """Refuse to go on in a folder that was removed meanwhile: what it held would be missing in the end."""
    if not any((folder / name).exists() for name in (_ORIGIN, "scan.json")):
        raise InputError("was removed while it was written", source=folder, fix="run the same again")


def _origin(scan: Scan) -> dict[str, str]:
    return {"source": scan.source, "root": str(scan.root.absolute())}


def _write_frame(
    frame: Frame, labels: Annotations3D | None, root: Path, folder: Path, world: str | None
) -> FrameRecord:
    """Write everything of a frame but its JSON, which is returned."""
    views = [
        ViewRecord(image=_write_image(view, frame.id, k, root, folder), camera=CameraRecord.of(view.camera))
        for k, view in enumerate(frame.views)
    ]
    depth = None if frame.depth is None else _write_depth(frame.depth, frame.id, folder)
    points = None if _is_its_depth(frame) else _write_points(frame, folder)
    return FrameRecord(
        points=points,
        T_world_points=frame.T_world_points.tolist(),
        world=world,
        timestamp=frame.timestamp,
        views=views,
        depth=depth,
        annotations=None if labels is None else _boxes(labels),
    )


def _is_its_depth(frame: Frame) -> bool:
    """Whether the points are what reading the depth makes of it."""
    if frame.depth is None or frame.colors is None or frame.intensity is not None:
        return False
    view = frame.views[0]
    if not np.array_equal(view.camera.T_points_cam, np.eye(4)):
        return False
    made = Frame.from_depth(frame.id, view.camera, view.image, frame.depth, frame.T_world_points, view.name)
    pairs = ((made.points, frame.points), (made.colors, frame.colors), (made.depth, frame.depth))
    return all(np.array_equal(a, b) for a, b in pairs)  # type: ignore[arg-type]


def _write_points(frame: Frame, folder: Path) -> str:
    arrays = {"points": frame.points, "colors": frame.colors, "intensity": frame.intensity}
    name = f"points/{frame.id}.npz"
    given = {key: array for key, array in arrays.items() if array is not None}
    _write(folder / name, lambda file: np.savez(file, **given))  # type: ignore[arg-type]
    return name


def _write_depth(depth: NDArray[np.float32], id: str, folder: Path) -> DepthRecord:
    """As millimeters in a PNG where that loses nothing, else as it is."""
    raw = np.rint(depth * _MILLIMETERS)
    if (
        np.isfinite(raw).all()
        and raw.min() >= 0
        and raw.max() <= 65535
        and np.array_equal((raw / _MILLIMETERS).astype(np.float32), depth)
    ):
        name = f"depth/{id}.png"
        _write(folder / name, lambda file: Image.fromarray(raw.astype(np.uint16)).save(file, "PNG"))
        return DepthRecord(file=name, units_per_meter=1000.0)
    name = f"depth/{id}.npy"
    _write(folder / name, lambda file: file.write(array_bytes(depth.astype(np.float32))))
    return DepthRecord(file=name)


def _write_image(view: View, id: str, number: int, root: Path, folder: Path) -> str:
    name = PurePosixPath(view.name)
    if not stays_inside(view.name):
        name = PurePosixPath(f"images/{number}/{id}.png")
    original = root / name
    if original.is_file() and _shows(original, view.image):
        content = read_file(original)
        _write(folder / name, lambda file: file.write(content))
        return name.as_posix()
    # PNG loses nothing; level 1 is several times faster than the default and a tenth larger.
    name = name.with_suffix(".png")
    _write(folder / name, lambda file: Image.fromarray(view.image).save(file, "PNG", compress_level=1))
    return name.as_posix()


def _shows(path: Path, image: NDArray[np.uint8]) -> bool:
    """Whether a file of the source holds these very pixels: some readers crop or undistort."""
    try:
        return np.array_equal(read_image(path), image)
    except BadFrameError:
        return False


def _boxes(labels: Annotations3D) -> list[BoxRecord]:
    return [
        BoxRecord(
            label=label,
            center=box.center.tolist(),
            size=box.size.tolist(),
            rotation=box.rotation.tolist(),
            box_2d=None if labels.boxes_2d is None else np.asarray(labels.boxes_2d[i], np.float64).tolist(),
            attributes={name: _json_value(column[i]) for name, column in labels.attributes.items()},
        )
        for i, (box, label) in enumerate(zip(labels.boxes, labels.labels, strict=True))
    ]


def _json_value(value: Any) -> Any:
    value = np.asarray(value).tolist()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _without_nulls(content: Any) -> Any:
    """Keys that say nothing are left away; attributes that are not known stay."""
    if isinstance(content, list):
        return [_without_nulls(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key: value if key == "attributes" else _without_nulls(value)
        for key, value in content.items()
        if value is not None
    }


def _write(path: Path, save: Callable[[Any], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(scratch: Path) -> None:
        with scratch.open("wb") as file:
            save(file)

    write_atomically(path, write)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    _write(path, lambda file: file.write(text.encode()))
