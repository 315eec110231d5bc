"""Scan base classes: the interface of every source, and what sources with one file or row per frame share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from operator import index as as_index
from pathlib import Path
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans.frame import Annotations3D, Frame

Entry = TypeVar("Entry")
Name = TypeVar("Name", str, int)


class Scan(ABC):
    """A sequence of frames. Opening a scan reads no frame; indexing reads exactly one.

    A source implements ``frame_ids`` and ``__getitem__``. The other methods have defaults that fit a source with
    nothing more to say.

    Attributes:
        source: registry name, for example ``kitti``.
        root: the folder that view names are relative to.
        notes: oddities found on opening that do not stop the scan, one line each.
        T_world_poses: (4, 4) rotation from the world of the pose files to the z-up world; None: no pose files.
        simulates_detector: whether ``save_detections`` works.

    >>> from data_prep import open_scan
    >>> scan = open_scan("procedural", "room", frames=2)
    >>> len(scan), scan.frame_ids()
    (2, ['room-0000-000000', 'room-0000-000001'])
    """

    source: str
    root: Path
    notes: tuple[str, ...] = ()
    T_world_poses: NDArray | None = None
    simulates_detector: bool = False

    @abstractmethod
    def frame_ids(self) -> list[str]:
        """Ids of all frames in order, without reading them."""

    @abstractmethod
    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            BadFrameError: this frame is unusable; others may be fine.
            IndexError: past the end.
        """

    def __len__(self) -> int:
        return len(self.frame_ids())

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order; stops at a bad one. Jobs that go on past bad frames index instead."""
        return (self[i] for i in range(len(self)))

    def image_names(self) -> list[str]:
        """Names of all images in order; an image that two frames share comes once.

        This default reads every frame and skips bad ones; sources that know their files override it.
        """
        names: dict[str, None] = {}
        for index in range(len(self)):
            try:
                names.update(dict.fromkeys(view.name for view in self[index].views))
            except BadFrameError:
                continue
        return list(names)

    def annotations(self, index: int) -> Annotations3D | None:
        """Human labels of one frame in the axes of its points; None where it has none."""
        return None

    def T_label_points(self, index: int) -> NDArray | None:
        """(4, 4) from a frame's points to the camera that its KITTI label file is in; None: no source in KITTI's layout."""
        return None

    def world_of(self, index: int) -> str | None:
        """Name of the world that a frame's pose leads to; frames of one world can be put together. None: its own.

        >>> from data_prep import open_scan
        >>> open_scan("procedural", "room").world_of(0)
        'room 0'
        """
        return None

    def save_detections(self, path: str | Path) -> None:
        """Write detections of a simulated detector as COCO JSON; synthetic worlds only.

        Raises:
            InputError: a source of real data.
        """
        raise InputError("has no detector of its own", field=f"source {self.source}", fix="run clip2 detect")


def choose_names(
    wanted: str | Sequence[Name] | None, present: Collection[Name], *, source: Path, field: str
) -> list[Name]:
    """The chosen sequences, cameras or the like, in the order asked for; all that are present by default.

    Raises:
        BadDatasetError: one of them is not present.
    """
    chosen: list[Any] = [wanted] if isinstance(wanted, str) else list(present if wanted is None else wanted)
    for name in chosen:
        if name not in present:
            known = ", ".join(map(str, list(present)[:10])) + (" …" if len(present) > 10 else "")
            raise BadDatasetError(
                f"{name!r} is not there", source=source, field=field, fix=f"choose from {known}"
            )
    return chosen


class IndexedScan(Scan, Generic[Entry]):
    """A scan over a list of (id, entry) pairs.

    A source implements :meth:`read`, :meth:`image_name` or, where frames have several images, :meth:`view_names`,
    and :meth:`world` where its poses lead to a world that frames share.

    Args:
        root: the folder that view names are relative to.
        entries: frame id → whatever ``read`` needs to find the frame, in order.
        expected: what the folder should hold, named when ``entries`` is empty.

    Raises:
        BadDatasetError: there are no entries.
    """

    def __init__(self, root: Path, entries: dict[str, Entry], expected: str) -> None:
        if not entries:
            raise BadDatasetError("holds no frames", source=root, fix=f"point at a folder with {expected}")
        self.root = root
        self._ids = list(entries)
        self._entries = list(entries.values())

    @abstractmethod
    def read(self, id: str, entry: Entry) -> Frame:
        """Read one frame; may raise any :class:`InputError`."""

    def image_name(self, id: str, entry: Entry) -> str | None:
        """Name of the frame's image as its view will carry it, without reading it; None where there is none."""
        return None

    def view_names(self, id: str, entry: Entry) -> Sequence[str]:
        """Names of all the frame's images in the order of its views, without reading them."""
        name = self.image_name(id, entry)
        return () if name is None else (name,)

    def world(self, id: str, entry: Entry) -> str | None:
        """Name of the world that ``T_world_points`` leads to, without reading the frame; None: the frame's own."""
        return None

    def frame_ids(self) -> list[str]:
        return list(self._ids)

    def __getitem__(self, index: int) -> Frame:
        position = range(len(self._ids))[as_index(index)]
        id = self._ids[position]
        try:
            return self.read(id, self._entries[position])
        except BadFrameError:
            raise
        except InputError as error:  # geometry and file readers do not know that one frame is at stake
            raise error.as_kind(BadFrameError, source=f"frame {id}") from error

    def image_names(self) -> list[str]:
        frames = zip(self._ids, self._entries, strict=True)
        return list(dict.fromkeys(name for id, entry in frames for name in self.view_names(id, entry)))

    def world_of(self, index: int) -> str | None:
        position = range(len(self._ids))[as_index(index)]
        return self.world(self._ids[position], self._entries[position])
