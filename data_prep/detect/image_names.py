"""Finding the image that a file name means, although two tools count from different folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from data_prep.errors import BadDatasetError


class ImageNames:
    """A set of image names, looked up by equality, else by one path being the end of the other.

    ``training/image_2/000000.png`` finds ``image_2/000000.png`` and ``/data/kitti/training/image_2/000000.png``,
    but never ``image_3/000000.png``.

    >>> ImageNames(["kv1/img_1/a.jpg", "kv2/img_1/a.jpg"]).find("SUNRGBD/kv2/img_1/a.jpg")
    'kv2/img_1/a.jpg'
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[tuple[str, ...], str] = {}
        self._by_file: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in names:
            parts = _parts(name)
            self._exact[parts] = name
            self._by_file[parts[-1]].append(parts)

    def find(self, name: str) -> str | None:
        """The stored name that means the same image as ``name``, or None.

        Raises:
            BadDatasetError: several stored names do, equally well.
        """
        parts = _parts(name)
        if parts in self._exact:
            return self._exact[parts]
        ends = [
            (shared, other)
            for other in self._by_file.get(parts[-1], ())
            if parts[-(shared := min(len(parts), len(other))) :] == other[-shared:]
        ]
        if not ends:
            return None
        longest = max(shared for shared, _ in ends)
        best = [self._exact[other] for shared, other in ends if shared == longest]
        if len(best) > 1:
            raise BadDatasetError(
                f"could be {best[0]!r} or {best[1]!r}",
                source=name,
                field="file_name",
                fix="make the names relative to the scan's root",
            )
        return best[0]


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".")) or (
        "",
    )
