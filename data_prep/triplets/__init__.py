"""Triplets: labels, image crop and points of objects; mining, writing and reading them."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.triplets.config import MiningConfig as MiningConfig
    from data_prep.triplets.manifest import Manifest as Manifest
    from data_prep.triplets.manifest import Shard as Shard
    from data_prep.triplets.mining import mine as mine
    from data_prep.triplets.provenance import Provenance as Provenance
    from data_prep.triplets.reader import TripletSet as TripletSet
    from data_prep.triplets.reader import open_triplets as open_triplets
    from data_prep.triplets.triplet import ObjectView as ObjectView
    from data_prep.triplets.triplet import Triplet as Triplet
    from data_prep.triplets.writer import TripletWriter as TripletWriter
    from data_prep.triplets.writer import write_triplets as write_triplets

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Manifest": "data_prep.triplets.manifest",
        "MiningConfig": "data_prep.triplets.config",
        "ObjectView": "data_prep.triplets.triplet",
        "Provenance": "data_prep.triplets.provenance",
        "Shard": "data_prep.triplets.manifest",
        "Triplet": "data_prep.triplets.triplet",
        "TripletSet": "data_prep.triplets.reader",
        "TripletWriter": "data_prep.triplets.writer",
        "mine": "data_prep.triplets.mining",
        "open_triplets": "data_prep.triplets.reader",
        "write_triplets": "data_prep.triplets.writer",
    },
)
