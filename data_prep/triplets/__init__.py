"""Triplets: words, image crop, points; their shards and their inspection."""

from data_prep.triplets.triplet import Triplet

__all__ = ["Triplet"]
