"""Sources of scans, one file each, all yielding :class:`Frame`."""

from data_prep.scans.annotations import Annotations3D
from data_prep.scans.frame import Frame, View
from data_prep.scans.scan import Scan, list_sources, open_scan, register_source

__all__ = ["Annotations3D", "Frame", "Scan", "View", "list_sources", "open_scan", "register_source"]
