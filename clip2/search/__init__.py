"""Search over the objects of many scans, by labels, images, clouds and places, in a LanceDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.search.index import Index as Index
    from clip2.search.objects import StoredObject as StoredObject

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"Index": "clip2.search.index", "StoredObject": "clip2.search.objects"}
)
