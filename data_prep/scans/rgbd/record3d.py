"""Record3D reader: an ``.r3d`` file, which is a zip, or its unzipped folder.

Layout (https://record3d.app, *Export* → *r3d*; shown by viser's and NVIDIA's readers)::

    metadata  rgbd/0.jpg  rgbd/0.depth  rgbd/0.conf  rgbd/1.jpg …

``metadata`` is JSON: ``w h`` and ``dw dh`` of color and depth, ``K`` column by column, ``poses`` as
``qx qy qz qw tx ty tz``, ``perFrameIntrinsicCoeffs`` as ``fx fy cx cy``, ``frameTimestamps``. Depth is float32
meters, LZFSE-compressed. The *EXR + JPG* export is not read: export ``r3d``.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError, shared_by_all_frames
from data_prep.geometry import quaternion_to_rotation, rigid
from data_prep.geometry.camera import validate_intrinsics
from data_prep.scans.formats.images import read_image, require_size
from data_prep.scans.formats.text import finite_number, read_json, unreadable
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth import T_WORLD_ARKIT, arkit_frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source
from data_prep.storage.reading import read_file

_ZIP_ERRORS = (
    lzma.LZMAError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    RuntimeError,
)
_LZFSE = b"bvx"  # the first bytes of every block


@register_source("record3d")
class Record3dScan(IndexedScan[int]):
    """Frames of a Record3D video.

    Points are the unprojected depth seen from the color camera, in camera axes (x right, y down, z forward),
    colored by their pixel. Poses are ARKit's camera to world; its y, against gravity, becomes z.

    Args:
        root: the ``.r3d`` file, or the folder it was unzipped to.

    Raises:
        BadDatasetError: no ``metadata``, no frames, or no poses (recorded without tracking).
    """

    source = "record3d"

    def __init__(self, root: Path) -> None:
        root = Path(root)
        self.T_world_poses = T_WORLD_ARKIT
        self.root, self._files = root, _Files(root)
        with shared_by_all_frames():
            self._metadata = read_json(root / "metadata says", self._files.read("metadata"))
            self._size, self._depth_size = (
                tuple(int(finite_number(self._metadata, key, root / "metadata")) for key in keys)
                for keys in (("w", "h"), ("dw", "dh"))
            )
            self._poses = self._rows("poses", 7)
            self._cameras = self._rows("perFrameIntrinsicCoeffs", 4)
            self._times = self._metadata.get("frameTimestamps") or []
        numbers = self._files.frame_numbers()
        if numbers and len(self._poses) == 0:
            raise BadDatasetError(
                "is missing", source=root / "metadata", field="poses", fix="record with the LiDAR camera"
            )
        super().__init__(
            root, {str(number): number for number in numbers}, "metadata and rgbd/N.jpg, rgbd/N.depth"
        )

    def read(self, id: str, entry: int) -> Frame:
        metadata = self.root / "metadata"
        if entry >= len(self._poses):
            raise BadFrameError(
                f"holds {len(self._poses)} poses", source=metadata, field="poses", fix="leave this frame out"
            )
        *quaternion, tx, ty, tz = self._poses[entry]
        x, y, z, w = quaternion
        if not np.isfinite(self._poses[entry]).all() or not 0.5 < np.linalg.norm(quaternion) < 2:
            raise BadFrameError(
                f"{self._poses[entry].tolist()} is not a pose",
                source=metadata,
                field=f"poses {entry}",
                fix="leave this frame out",
            )
        pose = rigid(quaternion_to_rotation([w, x, y, z]), [tx, ty, tz])
        name = self.image_name(id, entry)
        image = read_image(self.root / name, self._files.read(name))
        require_size(image, self._size, "metadata says", self.root / name)
        times = self._times
        time = float(times[entry]) if entry < len(times) and isinstance(times[entry], int | float) else None
        return arkit_frame(id, self._intrinsics(entry), image, self._depth(entry), pose, name, time)

    def image_name(self, id: str, entry: int) -> str:
        return f"rgbd/{entry}.jpg"

    def world(self, id: str, entry: int) -> str:
        """The recording."""
        return self.root.name

    def _intrinsics(self, entry: int) -> NDArray[np.float64]:
        if entry < len(self._cameras):  # the focus moves
            fx, fy, cx, cy = self._cameras[entry]
            return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        values: Any = self._metadata.get("K")
        rows: Any = [values[row::3] for row in range(3)] if isinstance(values, list) else values
        fix = "export the recording again"
        return validate_intrinsics(rows, source=self.root / "metadata", field="K", fix=fix)

    def _depth(self, entry: int) -> NDArray[np.float32]:
        name = f"rgbd/{entry}.depth"
        path = self.root / name
        content = self._files.read(name)
        width, height = self._depth_size
        if content.startswith(_LZFSE):
            content = _unpack(content, path)
        if len(content) != 4 * width * height:
            raise BadFrameError(
                f"unpacks to {len(content)} bytes, {width}x{height} needs {4 * width * height}",
                source=path,
                field="depth",
                fix="export the recording again",
            )
        depth = np.frombuffer(content, "<f4").reshape(height, width)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))

    def _rows(self, key: str, columns: int) -> NDArray[np.float64]:
        """(n, columns) numbers of a list of lists; (0, columns) where it is absent."""
        values: Any = self._metadata.get(key) or []
        try:
            return np.array(values, dtype=np.float64).reshape(len(values), columns)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"is not a list of {columns} numbers per frame",
                source=self.root / "metadata",
                field=key,
                fix="export the recording again",
            ) from error


class _Files:
    """Files of a folder or a zip, by name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if root.is_file() and not zipfile.is_zipfile(root):
            raise BadDatasetError("is not an .r3d (a zip)", source=root, fix="export it from Record3D again")
        if root.is_file():
            try:
                with zipfile.ZipFile(root) as archive:
                    self._names = archive.namelist()
            except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
                raise BadDatasetError(
                    f"is a damaged zip ({error})", source=root, fix="export it from Record3D again"
                ) from error
        else:
            self._names = [f"rgbd/{path.name}" for path in (root / "rgbd").glob("*.jpg")]

    def read(self, name: str) -> bytes:
        try:
            if self._root.is_dir():
                return read_file(self._root / name)
            # Opened anew each time, so that a scan can be sent to other processes.
            with zipfile.ZipFile(self._root) as archive:
                return archive.read(name)
        except KeyError as error:
            raise unreadable(self._root / name, "file", FileNotFoundError()) from error
        except _ZIP_ERRORS as error:
            raise unreadable(self._root / name, "file", error) from error

    def frame_numbers(self) -> list[int]:
        names = (
            name.removeprefix("rgbd/").removesuffix(".jpg") for name in self._names if name.endswith(".jpg")
        )
        return sorted(int(name) for name in names if name.isdecimal())


def _unpack(content: bytes, path: Path) -> bytes:
    try:
        import liblzfse
    except ImportError as error:
        raise InputError(
            "is LZFSE-compressed, and pyliblzfse is not installed", source=path, fix="pip install pyliblzfse"
        ) from error
    try:
        return liblzfse.decompress(content)
    except liblzfse.error as error:
        raise unreadable(path, "depth", error) from error
