"""One object of a gallery: crop beside cloud, title and facts below."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

from data_prep.report.cloud_data import cloud_figure
from data_prep.report.pictures import image_element, small_image_element

_HEIGHT = 170  # CSS pixels


@dataclass(frozen=True)
class Card:
    """One object of a gallery.

    Attributes:
        title: the card's heading, a word for instance.
        lines: short facts under it.
        image: (h, w, 3) uint8 RGB, shown beside the cloud, or None.
        points: (n, 3) meters, z-up, or None.
        colors: (n, 3) uint8 RGB of the points, or None: colored by height.
        seen_from: (3,) direction from the points to where they are first looked at from, or None.
        more_images: further images of the object.
        key: its name, unique on the page; "" for none. A gallery to search in needs it.
        words: by which a gallery to search in finds it.
        measures: name → value, by which such a gallery is sorted and filtered.
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
    """How much of the page a card may take.

    Attributes:
        image_side: longest side of the image, pixels.
        points: a larger cloud is thinned to this many.
        image_bytes: of the image's file; None: as many as it takes.
        more_images: so many further images are shown; each at half the side, in a third of the bytes.
    """

    image_side: int = 256
    points: int = 2500
    image_bytes: int | None = None
    more_images: int = 4


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
