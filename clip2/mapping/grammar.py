"""Query phrases: attributes and relations, answered by geometry, colors and embeddings.

    PHRASE   := [the] [SUPERLATIVE] ATTRIBUTE* LABEL [RELATION PHRASE]

``docs/mapping.md`` lists the words. What a map cannot know (left of, made of wood, mine) is no part of the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from data_prep.errors import InputError

COLORS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray",
)  # fmt: skip
_SPELLINGS = {"grey": "gray", "violet": "purple", "big": "large", "little": "small"}
SIZES, MOTIONS = ("large", "small"), ("moving", "still")
SUPERLATIVES = {
    "largest": "largest", "biggest": "largest", "smallest": "smallest", "tallest": "tallest",
    "highest": "highest", "lowest": "lowest",
}  # fmt: skip
RELATIONS = {
    "on top of": "on", "on": "on", "under": "under", "underneath": "under", "below": "under", "above": "above",
    "over": "above", "inside": "in", "in": "in", "next to": "near", "beside": "near", "near": "near",
    "nearest to": "nearest", "nearest": "nearest", "closest to": "nearest",
}  # fmt: skip
_RELATION = re.compile(rf"^(.+?) ({'|'.join(sorted(RELATIONS, key=len, reverse=True))}) (?:the |an? )?(.+)$")
_ARTICLE = re.compile(r"^(?:the|an?) ")


@dataclass(frozen=True)
class Phrase:
    """A parsed phrase.

    Attributes:
        text: as it was asked.
        label: what the object is.
        attributes: words of ``COLORS``, ``SIZES`` and ``MOTIONS``.
        superlative: one of ``largest``, ``smallest``, ``tallest``, ``highest``, ``lowest``, or None.
        relation: one of ``on``, ``under``, ``above``, ``in``, ``near``, ``nearest``, or None.
        other: the phrase that the relation leads to.
    """

    text: str
    label: str
    attributes: tuple[str, ...] = ()
    superlative: str | None = None
    relation: str | None = None
    other: Phrase | None = None

    @property
    def plain(self) -> bool:
        """A label and nothing else."""
        return not self.attributes and self.superlative is None and self.relation is None

    def labels(self) -> tuple[str, ...]:
        """Every label that it names."""
        return (self.label, *(self.other.labels() if self.other else ()))


def parse_phrase(text: str, known: Collection[str] = ()) -> Phrase:
    """Parse a phrase.

    Args:
        text: the phrase.
        known: labels that are one word to the text source, lower case: ``orange`` the fruit is not a color.

    Raises:
        InputError: words without a label.

    >>> phrase = parse_phrase("largest red cup on the table")
    >>> phrase.superlative, phrase.attributes, phrase.label, phrase.relation, phrase.other.label
    ('largest', ('red',), 'cup', 'on', 'table')
    >>> parse_phrase("washing machine").plain
    True
    """
    words = " ".join(text.lower().split())
    if words in known:
        return Phrase(text, words)
    words = _ARTICLE.sub("", words)
    found = _RELATION.match(words)
    head, relation, other = (words, None, None) if found is None else found.groups()
    reference = None if other is None else parse_phrase(other, known)
    superlative, attributes = None, []
    parts = head.split()
    while len(parts) > 1 and " ".join(parts) not in known:
        word = _SPELLINGS.get(parts[0], parts[0])
        if word in SUPERLATIVES and superlative is None:
            superlative = SUPERLATIVES[word]
        elif word in (*COLORS, *SIZES, *MOTIONS):
            attributes.append(word)
        else:
            break
        parts = parts[1:]
    label = " ".join(parts)
    if label in SUPERLATIVES or (label in (*COLORS, *SIZES, *MOTIONS) and label not in known):
        raise InputError(f"{text!r} names no thing", field="labels", fix=f'add what it is, like "{text} box"')
    return Phrase(text, label, tuple(attributes), superlative, RELATIONS.get(relation or ""), reference)
