"""Label normalization, and labels as a terminal may show them."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 14)  # every query of a long list asks for each label several times
def normalize_label(label: str) -> str:
    """Lower case, ``_`` as a blank, single blanks.

    >>> normalize_label("Traffic_Light ")
    'traffic light'
    """
    return " ".join(label.replace("_", " ").lower().split())


def printable(text: str) -> str:
    """The text with control characters spelled out: a terminal would obey them.

    >>> print(printable("mug" + chr(27) + "[31m"))
    mug\\x1b[31m
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
