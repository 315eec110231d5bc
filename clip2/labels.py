"""Parsing of label lists."""

from __future__ import annotations

from collections.abc import Iterable

from data_prep.errors import InputError
from data_prep.labels import normalize_label as normalize_label

# Labels of what stands around objects. A model that was trained on some of them lets them compete with any query.
BACKGROUND = (
    "tree", "bush", "hedge", "shrub", "vegetation", "building", "house", "facade", "fence", "wall", "floor", "ceiling",
    "ground", "road", "sidewalk", "terrain",
)  # fmt: skip
UNKNOWN = "unknown"  # the label of objects unlike everything a model was trained on


def parse_labels(labels: str | Iterable[str], *, source: str = "labels") -> tuple[str, ...]:
    """Read a list of labels; spelling is kept, surrounding and repeated blanks are not.

    Args:
        labels: one string with commas, or the labels themselves (which may then hold commas).
        source: name of the list in an error.

    Raises:
        InputError: no label, an empty one, one that is not text, or a repeated one (``Mug`` and ``mug``, ``night_stand``
            and ``night stand`` are the same label).

    >>> parse_labels("mug, traffic  light")
    ('mug', 'traffic light')
    """
    if not isinstance(labels, Iterable):
        raise InputError(f"is {labels!r}", source=source, fix='give a list of labels, or "chair,table"')
    parts = labels.split(",") if isinstance(labels, str) else list(labels)
    if wrong := [part for part in parts if not isinstance(part, str)]:
        raise InputError(f"{wrong[0]!r} is not text", source=source, fix='give labels like "chair"')
    words = tuple(" ".join(part.split()) for part in parts)
    if not any(words):
        raise InputError("is empty", source=source, fix='give at least one label, for example "chair,table"')
    if not all(words):
        raise InputError(
            f"label {words.index('') + 1} of {len(words)} is empty",
            source=source,
            fix="remove the extra comma",
        )
    seen: dict[str, str] = {}
    for word in words:
        key = normalize_label(word)
        earlier = seen.get(key)
        seen[key] = word
        if earlier is not None:
            twice = (
                f"{word!r} is given twice"
                if earlier == word
                else f"{earlier!r} and {word!r} are the same label"
            )
            raise InputError(twice, source=source, fix="keep each label once")
    return words
