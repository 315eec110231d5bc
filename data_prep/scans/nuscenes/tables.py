"""JSON tables of nuScenes, read row by row: all of ``sample_data`` is 2.6 million rows, of which few are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson
import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, InputError, shared_by_all_frames
from data_prep.geometry.camera import validate_intrinsics
from data_prep.geometry.transforms import quaternion_pose
from data_prep.storage.parsing import ShallowStream
from data_prep.storage.reading import open_file

_FIX = "use the tables of one complete version folder"
Row = dict[str, Any]


class Table:
    """One table of a version folder, a JSON list of objects with a ``token`` each.

    Args:
        folder: for example ``v1.0-mini``.
        name: without ``.json``.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.json"

    def __iter__(self) -> Iterator[Row]:
        """Rows in file order; never more than a few of them are in memory.

        Raises:
            BadDatasetError: missing, cut short, or not a list of objects.
        """
        number = 0
        try:
            with open_file(self.path) as stream:
                if not stream.read(64).lstrip().startswith(b"["):
                    raise self.error("is not a list", "start")
                stream.seek(0)
                for row in ijson.items(ShallowStream(stream), "item", use_float=True):
                    if not isinstance(row, dict):
                        raise self.error("is not an object", f"row {number}")
                    number += 1
                    yield row
        except FileNotFoundError as error:
            raise BadDatasetError(
                "is missing", source=self.path, fix="unpack the metadata archive again"
            ) from error
        except InputError:
            raise
        except (OSError, ValueError, ijson.JSONError) as error:
            reason = " ".join(str(error).split())[:100]
            raise self.error(f"is not JSON, or cut short ({reason})", f"row {number}") from error

    def by_token(self) -> dict[str, Row]:
        """All rows by token: for the small tables."""
        return {self.value(row, "token"): row for row in self}

    def value(self, row: Row, field: str, kind: type | tuple[type, ...] = str) -> Any:
        """One field of a row.

        Raises:
            BadDatasetError: absent or of another type; the line names table, token and field.
        """
        found = row.get(field)
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            problem = "is missing" if field not in row else f"is {str(found)[:60]!r}"
            raise self.error(problem, f"{row.get('token', 'a row without token')}.{field}")
        return found

    def number(self, row: Row, field: str, absent: int) -> int:
        """A whole number that may be missing or null.

        Raises:
            BadDatasetError: something else.
        """
        found: int = absent if row.get(field) is None else self.value(row, field, int)
        return found

    def follow(self, row: Row, field: str, table: dict[str, Any], name: str) -> Any:
        """What the token in ``field`` points to in ``table``, which is called ``name``.

        Raises:
            BadDatasetError: nothing.
        """
        token = self.value(row, field)
        if token not in table:
            raise self.dangling(row, field, token, name)
        return table[token]

    def dangling(self, row: Row, field: str, token: str, name: str) -> BadDatasetError:
        """The error for a token that ``name`` does not hold."""
        return self.error(f"{token!r} is not in {name}.json", f"{row.get('token')}.{field}")

    def pose(self, row: Row) -> NDArray[np.float64]:
        """(4, 4) from ``rotation`` (w x y z) and ``translation``.

        Raises:
            BadDatasetError: not a rotation.
        """
        rotation, translation = (self.value(row, field, list) for field in ("rotation", "translation"))
        with shared_by_all_frames():
            return quaternion_pose(
                rotation, translation, source=self.path, field=f"{row.get('token')}.rotation, translation"
            )

    def intrinsics(self, row: Row) -> NDArray[np.float64]:
        """(3, 3) ``camera_intrinsic``.

        Raises:
            BadDatasetError: not a camera matrix.
        """
        K, field = self.value(row, "camera_intrinsic", list), f"{row.get('token')}.camera_intrinsic"
        with shared_by_all_frames():
            return validate_intrinsics(K, source=self.path, field=field, fix=_FIX)

    def error(self, problem: str, field: str) -> BadDatasetError:
        """A complaint about this table."""
        return BadDatasetError(problem, source=self.path, field=field, fix=_FIX)
