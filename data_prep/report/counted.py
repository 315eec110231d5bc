"""Numbers with a noun in the right grammatical number."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 shard``, ``2 shards``, ``1,200 frames``.

    Args:
        number: how many.
        noun: singular, with a regular plural.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
