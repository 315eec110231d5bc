"""Lists of words as people type them, and the form in which two spellings are the same word."""

from __future__ import annotations

from collections.abc import Iterable

from data_prep.errors import InputError
from data_prep.labels import normalize_label as normalize_label

UNKNOWN = "unknown"  # the label of objects unlike everything a model was trained on


def parse_labels(labels: str | Iterable[str], *, source: str = "labels") -> tuple[str, ...]:
    """Read a list of words; the spelling is kept, surrounding and repeated blanks are not.

    Args:
        labels: words separated by commas, or the words themselves (which may then hold commas).
        source: what to call the list in an error.

    Raises:
        InputError: no word, an empty word, or one word twice (``Mug`` and ``mug``, ``night_stand`` and
            ``night stand`` are one word).

    >>> parse_labels("mug, traffic  light")
    ('mug', 'traffic light')
    """
    parts = labels.split(",") if isinstance(labels, str) else list(labels)
    words = tuple(" ".join(part.split()) for part in parts)
    if not any(words):
        raise InputError("is empty", source=source, fix='give at least one word, for example "chair,table"')
    if not all(words):
        raise InputError(
            f"word {words.index('') + 1} of {len(words)} is empty",
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
                f"{word!r} is there twice" if earlier == word else f"{earlier!r} and {word!r} are one word"
            )
            raise InputError(twice, source=source, fix="keep each word once")
    return words
