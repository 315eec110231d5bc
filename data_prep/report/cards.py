"""Object cards (crop beside cloud, title and facts below) and the searchable gallery that ``explorer.js`` drives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.report.cloud_data import cloud_figure
from data_prep.report.pictures import image_element, small_image_element

_HEIGHT = 170  # CSS pixels


@dataclass(frozen=True)
class Card:
    """One object of a gallery.

    Attributes:
        title: the card's heading, for example a label.
        lines: short facts under it.
        image: (h, w, 3) uint8 RGB, shown beside the cloud, or None.
        points: (n, 3) meters, z-up, or None.
        colors: (n, 3) uint8 RGB of the points, or None: colored by height.
        seen_from: (3,) direction from the points to the initial viewpoint, or None.
        more_images: further images of the object.
        key: unique name on the page, or ""; the searchable gallery needs it.
        words: search terms in the searchable gallery.
        measures: name → value to sort and filter by in the searchable gallery.
    """

    title: str
    lines: Sequence[str] = ()
    image: NDArray[np.uint8] | None = None
    points: NDArray | None = None
    colors: NDArray[np.uint8] | None = None
    seen_from: NDArray | None = None
    more_images: Sequence[NDArray[np.uint8]] = ()
    key: str = ""
    words: Sequence[str] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CardSize:
    """Size limits of a card.

    Attributes:
        image_side: longest side of the image, pixels.
        points: a larger cloud is thinned to this many.
        image_bytes: limit of the image's file size; None: no limit.
        more_images: number of further images, each at half the side and a third of the bytes.
    """

    image_side: int = 256
    points: int = 2500
    image_bytes: int | None = None
    more_images: int = 4


# Bounded, so that the page stays small whatever the crops show.
EXPLORER_SIZE = CardSize(image_side=224, points=1000, image_bytes=7500, more_images=4)


def card_element(card: Card, size: CardSize) -> str:
    """The card as HTML."""
    media = []
    if card.image is not None:
        media.append(_image(card.image, size.image_side, size.image_bytes, card.title))
    if card.points is not None:
        view, _ = cloud_figure(
            card.points, card.colors, max_points=size.points, height=_HEIGHT, seen_from=card.seen_from
        )
        media.append(view)
    bytes_of_more = None if size.image_bytes is None else size.image_bytes // 3
    more = [
        _image(image, size.image_side // 2, bytes_of_more, f"{card.title}, view {number}")
        for number, image in enumerate(card.more_images[: size.more_images], start=2)
    ]
    strip = f'<div class="more">{"".join(more)}</div>' if more else ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in card.lines)
    return (
        f'<article class="card"{_for_searching(card)}><div class="media">{"".join(media)}</div>{strip}'
        f"<h3>{escape(card.title)}</h3><ul>{lines}</ul></article>"
    )


@dataclass(frozen=True)
class Measure:
    """A number that cards have, for sorting and for a slider.

    Attributes:
        name: key in :attr:`Card.measures`.
        title: displayed name.
        unit: after the number, "" for none.
        log: the slider is logarithmic.
    """

    name: str
    title: str
    unit: str = ""
    log: bool = False


def explorer_element(cards: Sequence[Card], measures: Sequence[Measure]) -> str:
    """The gallery as HTML.

    Args:
        cards: each with a unique key.
        measures: offered if at least two cards differ in them.

    Raises:
        InputError: two cards share a key, or one has none.
    """
    keys = [card.key for card in cards]
    if "" in keys or len(set(keys)) < len(keys):
        raise InputError("are missing or repeated", field="cards.key", fix="give each card a unique key")
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


def _image(rgb: NDArray[np.uint8], side: int, max_bytes: int | None, alt: str) -> str:
    if max_bytes is None:
        return image_element(rgb, side, alt=alt)
    return small_image_element(rgb, side, max_bytes, alt)


def _for_searching(card: Card) -> str:
    if not card.key:
        return ""
    measures = {name: float(f"{value:.6g}") for name, value in card.measures.items()}
    values = {"key": card.key, "words": list(card.words), "measures": measures}
    return f' data-object="{escape(json.dumps(values), quote=True)}"'
