"""Options shared by the commands that read a scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from data_prep.scans import Scan


@dataclass(kw_only=True)
class ScanCommand:
    """Base of the commands that take SOURCE and ROOT."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Reader of the scan: kitti, kitti-tracking, nuscenes, sunrgbd, scannet, rgbd, rosbag, cloud, layout …"""
    root: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")]
    """Folder or file of the scan; the contents of a URL like s3://bucket/scan are first copied to this machine."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the reader as key=value, for example sequences=0001,0004 or up=-y; may be repeated."""
    json: bool = False
    """Print one JSON object instead of text and tables."""

    def reader_options(self) -> dict[str, Any]:
        """The ``--option`` pairs, converted to the types that the reader declares.

        Raises:
            InputError: an unknown source or option, or a value of the wrong type.
        """
        from clip2.cli.key_values import reader_options

        return reader_options(self.source, self.option)

    def open_scan(self) -> Scan:
        """The scan at ROOT.

        Raises:
            InputError: as :meth:`reader_options`, or the scan cannot be opened.
        """
        from data_prep.scans import open_scan

        return open_scan(self.source, self.root, **self.reader_options())


@dataclass(kw_only=True)
class CloudCommand:
    """Base of the commands that take cloud files, whose up axis can be stated."""

    up: str | None = None
    """Axis that points up in a cloud file: x, y, z, -x, -y or -z. Default: z, for glTF y."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the reader as key=value, for example columns=6 for a .bin of x y z r g b; may be repeated."""
    json: bool = False
    """Print one JSON object."""

    def open(self, path: Path, source: str = "cloud") -> Scan:
        """The scan at a path, read with ``--up`` and ``--option``.

        Raises:
            InputError: an unknown source or option, a value of the wrong type, or a scan that cannot be opened.
        """
        from clip2.cli.key_values import reader_options
        from data_prep.scans import open_scan

        given = self.option if self.up is None else (*self.option, f"up={self.up}")
        return open_scan(source, path, **reader_options(source, given))
