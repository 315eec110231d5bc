"""Triplets: words, image crop, points; their shards and their inspection."""

from data_prep.triplets.manifest import Manifest, Shard
from data_prep.triplets.mining import mine
from data_prep.triplets.reader import TripletSet, open_triplets
from data_prep.triplets.triplet import Look, Triplet
from data_prep.triplets.writer import TripletWriter, write_triplets

__all__ = [
    "Look",
    "Manifest",
    "Shard",
    "Triplet",
    "TripletSet",
    "TripletWriter",
    "mine",
    "open_triplets",
    "write_triplets",
]
