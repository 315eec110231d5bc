"""The protocol every source implements, and the registry that finds it by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from data_prep.errors import BadDatasetError, InputError
from data_prep.scans.frame import Frame
from data_prep.storage.urls import as_here


@runtime_checkable
class Scan(Protocol):
    """A sequence of frames. Opening one reads no frame; indexing reads exactly one.

    Sources with more to say also have ``image_names()``, ``annotations(index)``, and ``world_of(index)``
    (:func:`world_of`).

    Attributes:
        source: registry name, for example ``kitti``.
        root: the folder that view names are relative to.
    """

    source: str
    root: Path

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            BadFrameError: this frame is unusable; others may be fine.
            IndexError: past the end.
        """
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def frame_ids(self) -> list[str]:
        """Ids of all frames in order, without reading them."""
        ...


Opener = Callable[..., Scan]
_O = TypeVar("_O", bound=Opener)
_OPENERS: dict[str, Opener] = {}
# Name → module. A source's module is imported when it is asked for, so a missing extra hurts nobody else.
_MODULES = {
    "kitti": "data_prep.scans.kitti.object",
    "kitti-tracking": "data_prep.scans.kitti.tracking",
    "nuscenes": "data_prep.scans.nuscenes.scan",
    "once": "data_prep.scans.once.scan",
    "waymo": "data_prep.scans.kitti.waymo",
    "sunrgbd": "data_prep.scans.rgbd.sunrgbd",
    "rgbd": "data_prep.scans.rgbd.posed",
    "scannet": "data_prep.scans.rgbd.scannet",
    "tum": "data_prep.scans.rgbd.tum",
    "replica": "data_prep.scans.rgbd.replica",
    "record3d": "data_prep.scans.phone.record3d",
    "polycam": "data_prep.scans.phone.polycam",
    "cloud": "data_prep.scans.cloud",
    "rosbag": "data_prep.scans.rosbag",
    "layout": "data_prep.scans.layout.scan",
    "procedural": "data_prep.world",
}


def world_of(scan: Scan, index: int) -> str | None:
    """Name of the world that a frame's pose leads to; frames of one world can be put together. None: its own.

    >>> from data_prep import open_scan
    >>> world_of(open_scan("procedural", "room"), 0)
    'room 0'
    """
    ask: Callable[[int], str | None] | None = getattr(scan, "world_of", None)
    return None if ask is None else ask(index)


def register_source(name: str) -> Callable[[_O], _O]:
    """Class or function decorator that makes ``open_scan(name, root, **options)`` call it."""

    def register(opener: _O) -> _O:
        _OPENERS[name] = opener
        return opener

    return register


def list_sources() -> list[str]:
    """Names that :func:`open_scan` knows."""
    return sorted({*_MODULES, *_OPENERS})


def find_opener(source: str) -> Opener:
    """The class or function behind a source; its signature says which options it takes.

    Raises:
        InputError: unknown source.
    """
    if source not in _OPENERS:
        if source not in _MODULES:
            raise InputError(
                f"{source!r} is unknown", field="source", fix=f"use one of {', '.join(list_sources())}"
            )
        import_module(_MODULES[source])
    return _OPENERS[source]


def open_scan(source: str, root: str | Path, **options: object) -> Scan:
    """Open a scan without reading its frames.

    Args:
        source: one of :func:`list_sources`.
        root: the dataset's folder, or the file for single-file sources; or the URL of one, all of which is copied to
            this machine first (:func:`data_prep.storage.urls.fetch`).
        **options: what the source documents.

    Raises:
        InputError: unknown source.
        BadDatasetError: ``root`` is not such a dataset.
    """
    opener = find_opener(source)
    root = as_here(root)
    if source != "procedural" and not root.exists():
        raise BadDatasetError("does not exist", source=root, fix="check the path")
    return opener(root, **options)
