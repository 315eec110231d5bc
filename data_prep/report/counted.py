"""Numbers of things, as a sentence has them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 shard``, ``2 shards``, ``1,200 frames``.

    Args:
        number: how many.
        noun: in the singular, of a word that takes an s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
