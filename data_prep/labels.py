"""Label normalization: the form in which two spellings are the same label."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 14)  # every query of a long list asks for each label several times
def normalize_label(label: str) -> str:
    """Lower case, ``_`` as a blank, single blanks.

    >>> normalize_label("Traffic_Light ")
    'traffic light'
    """
    return " ".join(label.replace("_", " ").lower().split())
