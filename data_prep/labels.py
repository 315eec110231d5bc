"""Label normalization: the form in which two spellings are the same label."""

from __future__ import annotations


def normalize_label(label: str) -> str:
    """Lower case, ``_`` as a blank, single blanks.

    >>> normalize_label("Traffic_Light ")
    'traffic light'
    """
    return " ".join(label.replace("_", " ").lower().split())
