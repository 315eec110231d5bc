"""Readers of scans: one module or folder per dataset family, all yielding :class:`Frame`."""

from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.scan import Scan
from data_prep.scans.sources import list_sources, open_scan, register_source

__all__ = ["Annotations3D", "Frame", "Scan", "View", "list_sources", "open_scan", "register_source"]
