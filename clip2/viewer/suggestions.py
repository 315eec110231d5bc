"""Completion of a list of labels while it is being typed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from clip2.labels import UNKNOWN, normalize_label


def typed_labels(text: str, is_known: Callable[[str], bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of a comma-separated text, each once: those that can be looked up, and the rest.

    >>> typed_labels("chair, tabel,, Chair", {"chair", "table"}.__contains__)
    (('chair',), ('tabel',))
    """
    parts: dict[str, str] = {}
    for part in text.split(","):
        label = " ".join(part.split())
        if label:
            parts.setdefault(normalize_label(label), label)
    known = {key: label for key, label in parts.items() if key != UNKNOWN and is_known(label)}
    return tuple(known.values()), tuple(label for key, label in parts.items() if key not in known)


def suggest(text: str, names: Sequence[str], count: int = 6) -> list[str]:
    """Labels that complete the last one of a comma-separated text.

    Labels that begin with it come first, then those with a later part that begins with it, then those spelled nearly
    the same. A label that is complete or given already is not suggested.

    >>> suggest("mug, cha", ["chair", "mug", "armchair", "office chair", "chalk"])
    ['chair', 'chalk', 'office chair']
    >>> suggest("chiar", ["chair", "mug"])
    ['chair']
    """
    *before, last = (normalize_label(part) for part in text.split(","))
    if not last:
        return []
    given = {*before, last}
    open_names = {normalize_label(name): name for name in names}
    candidates = [key for key in open_names if key not in given]
    ranked = [key for key in candidates if key.startswith(last)]
    ranked += [key for key in candidates if f" {last}" in key and key not in ranked]
    if not ranked and last not in open_names:
        ranked = difflib.get_close_matches(last, candidates, n=count, cutoff=0.6)
    return [open_names[key] for key in ranked[:count]]


def complete(text: str, label: str) -> str:
    """The text with its last label replaced, ready for the next one.

    >>> complete("mug, cha", "chair")
    'mug, chair, '
    """
    before = [" ".join(part.split()) for part in text.split(",")[:-1]]
    return "".join(f"{part}, " for part in [*filter(None, before), label])
