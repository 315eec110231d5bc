"""Registry of scan sources: opening a dataset by the name of its reader."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from data_prep.errors import BadDatasetError, InputError
from data_prep.registry import Registry
from data_prep.scans.scan import Scan
from data_prep.storage.urls import as_here

Opener = Callable[..., Scan]
_O = TypeVar("_O", bound=Opener)
# A source's module is imported when it is asked for, so a missing extra hurts nobody else.
SOURCES = Registry[Opener](
    "source",
    {
        "kitti": "data_prep.scans.kitti.scan",
        "kitti-tracking": "data_prep.scans.kitti.scan",
        "nuscenes": "data_prep.scans.nuscenes.scan",
        "once": "data_prep.scans.once",
        "waymo": "data_prep.scans.kitti.waymo",
        "sunrgbd": "data_prep.scans.rgbd.sunrgbd",
        "rgbd": "data_prep.scans.rgbd.posed",
        "scannet": "data_prep.scans.rgbd.scannet",
        "tum": "data_prep.scans.rgbd.tum",
        "replica": "data_prep.scans.rgbd.replica",
        "record3d": "data_prep.scans.rgbd.record3d",
        "polycam": "data_prep.scans.rgbd.polycam",
        "cloud": "data_prep.scans.cloud",
        "rosbag": "data_prep.scans.rosbag.scan",
        "layout": "data_prep.scans.layout.scan",
        "procedural": "data_prep.world",
    },
)


def register_source(name: str) -> Callable[[_O], _O]:
    """Class or function decorator that makes ``open_scan(name, root, **options)`` call it."""
    return SOURCES.register(name)  # type: ignore[return-value]


def list_sources() -> list[str]:
    """Names that :func:`open_scan` knows.

    >>> "kitti" in list_sources()
    True
    """
    return list(SOURCES)


def find_opener(source: str) -> Opener:
    """The class or function behind a source; its signature says which options it takes.

    Raises:
        InputError: unknown source.
    """
    return SOURCES[source]


def open_scan(source: str, root: str | Path, **options: object) -> Scan:
    """Open a scan without reading its frames.

    Args:
        source: one of :func:`list_sources`.
        root: the dataset's folder, or the file for single-file sources; or the URL of one, all of which is copied to
            this machine first (:func:`data_prep.storage.urls.fetch`).
        **options: what the source documents.

    Raises:
        InputError: unknown source or option.
        BadDatasetError: ``root`` is not such a dataset.

    >>> scan = open_scan("procedural", "room", frames=2)
    >>> frame = scan[0]
    >>> len(scan), frame.points.shape[1], len(frame.views)
    (2, 3, 1)
    """
    opener = find_opener(source)
    _, *known = inspect.signature(opener).parameters
    for name in options:
        if name not in known:
            raise InputError(
                f"{name!r} is not an option of {source}",
                field="options",
                fix=f"known: {', '.join(sorted(known)) or 'none'}",
            )
    root = as_here(root)
    if source != "procedural" and not root.exists():
        raise BadDatasetError("does not exist", source=root, fix="check the path")
    if source != "procedural" and not (root.is_dir() or root.is_file()):
        raise BadDatasetError("is neither a file nor a folder", source=root, fix="check the path")
    return opener(root, **options)
