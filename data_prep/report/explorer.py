"""A gallery to search in: words, sliders, sorting, one object at a time enlarged. ``explorer.js`` brings it to life."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

from data_prep.errors import InputError
from data_prep.report.cards import Card, CardSize, card_element

# Bounded, so that the page stays small whatever is on the crops.
EXPLORER_SIZE = CardSize(image_side=224, points=1000, image_bytes=7500, more_images=4)


@dataclass(frozen=True)
class Measure:
    """A number of every card, for sorting and for a slider.

    Attributes:
        name: key in :attr:`Card.measures`.
        title: as shown.
        unit: after the number, "" for none.
        log: the slider's steps are factors.
    """

    name: str
    title: str
    unit: str = ""
    log: bool = False


def explorer_element(cards: Sequence[Card], measures: Sequence[Measure]) -> str:
    """The gallery as HTML.

    Args:
        cards: each with a key of its own.
        measures: offered where at least two cards differ in them.

    Raises:
        InputError: two cards share a key, or one has none.
    """
    keys = [card.key for card in cards]
    if "" in keys or len(set(keys)) < len(keys):
        raise InputError(
            "are missing or come twice", field="cards.key", fix="give each card a key of its own"
        )
    offered = [
        asdict(measure)
        for measure in measures
        if len({card.measures[measure.name] for card in cards if measure.name in card.measures}) > 1
    ]
    inside = "".join(card_element(card, EXPLORER_SIZE) for card in cards)
    return (
        f'<div class="explorer" data-measures="{escape(json.dumps(offered), quote=True)}">'
        f'<div class="gallery">{inside}</div></div>'
    )
