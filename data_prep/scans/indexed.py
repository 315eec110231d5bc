"""What all file-backed scans share: indexing, ids, and turning a reader's complaint into a bad frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import index as as_index
from pathlib import Path
from typing import Generic, TypeVar

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans.frame import Frame

Entry = TypeVar("Entry")


class IndexedScan(Generic[Entry]):
    """A scan over a list of (id, entry) pairs. A source implements :meth:`read`, :meth:`image_name` or, where frames
    have several images, :meth:`view_names`, and :meth:`world` where its poses lead to a world that frames share.

    Args:
        root: the folder that view names are relative to.
        entries: frame id → whatever ``read`` needs to find the frame, in order.
        expected: what the folder should hold, named when ``entries`` is empty.

    Raises:
        BadDatasetError: there are no entries.
    """

    source: str

    def __init__(self, root: Path, entries: dict[str, Entry], expected: str) -> None:
        if not entries:
            raise BadDatasetError("holds no frames", source=root, fix=f"point at a folder with {expected}")
        self.root = root
        self._ids = list(entries)
        self._entries = list(entries.values())

    def read(self, id: str, entry: Entry) -> Frame:
        """Read one frame; may raise any :class:`InputError`."""
        raise NotImplementedError

    def image_name(self, id: str, entry: Entry) -> str | None:
        """Name of the frame's image as its view will carry it, without reading it; None where there is none."""
        raise NotImplementedError

    def view_names(self, id: str, entry: Entry) -> Sequence[str]:
        """Names of all the frame's images in the order of its views, without reading them."""
        name = self.image_name(id, entry)
        return () if name is None else (name,)

    def world(self, id: str, entry: Entry) -> str | None:
        """Name of the world that ``T_world_points`` leads to, without reading the frame; None where it is the frame's
        own."""
        return None

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Frame:
        position = range(len(self))[as_index(index)]
        id = self._ids[position]
        try:
            return self.read(id, self._entries[position])
        except BadFrameError:
            raise
        except InputError as error:  # geometry and file readers do not know that one frame is at stake
            raise BadFrameError(
                error.problem, source=error.source or f"frame {id}", field=error.field, fix=error.fix
            ) from error

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order; stops at a bad one. Jobs that go on past bad frames index instead."""
        return (self[i] for i in range(len(self)))

    def frame_ids(self) -> list[str]:
        return list(self._ids)

    def image_names(self) -> list[str]:
        """Names of all images in order, without reading one; an image that two frames share comes once."""
        frames = zip(self._ids, self._entries, strict=True)
        return list(dict.fromkeys(name for id, entry in frames for name in self.view_names(id, entry)))

    def world_of(self, index: int) -> str | None:
        """Name of the world a frame lies in; frames of one world can be put together by their poses. None: its own."""
        position = range(len(self))[as_index(index)]
        return self.world(self._ids[position], self._entries[position])
