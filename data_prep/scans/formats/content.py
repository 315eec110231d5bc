"""Cloud reader for bytes in memory: PLY, PCD or npz, told by their own header, or bare float32."""

from __future__ import annotations

from pathlib import Path

from data_prep.errors import BadFrameError, InputError
from data_prep.scans.formats.npz import read_npz
from data_prep.scans.formats.pcd import read_pcd
from data_prep.scans.formats.ply import read_ply
from data_prep.scans.formats.records import RawCloud, cloud_from_columns, read_records

_READERS = {b"ply": read_ply, b"PK": read_npz, b"# .PCD": read_pcd, b"VERSION": read_pcd}


def read_content(
    content: bytes, name: str = "body", columns: int | None = None, max_points: int | None = None
) -> RawCloud:
    """Read a cloud from bytes that came without a file name, for example over a network.

    Args:
        content: a whole PLY, PCD or npz file, or bare float32 values.
        name: of the bytes in errors.
        columns: of bare float32, values per point as in a ``.bin``; None: the bytes have a header.
        max_points: refuse more before memory is taken for them; None: any number.

    Raises:
        InputError: ``columns`` below 3.
        BadFrameError: no known header, or not what the header says.

    >>> import numpy as np
    >>> read_content(np.ones((2, 3), "<f4").tobytes(), columns=3).points.shape
    (2, 3)
    """
    path = Path(name)
    if columns is not None:
        if columns < 3:
            raise InputError(f"is {columns}", field="columns", fix="give at least 3: x y z")
        return cloud_from_columns(read_records(path, columns, content, max_points), path)
    for magic, reader in _READERS.items():
        if content.startswith(magic):
            return reader(path, content, max_points)
    if not content:
        raise BadFrameError("is empty", source=name, fix="send a PLY, PCD or npz file")
    raise BadFrameError(
        f"begins with {content[:8]!r}, unlike PLY, PCD and npz",
        source=name,
        fix="send one of these, or bare float32 with columns=3 (x y z), 4 (+ intensity) or 6 (x y z r g b)",
    )
