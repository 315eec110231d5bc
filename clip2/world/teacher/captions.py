"""Captions for images of the synthetic world, with the claims of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.teacher.prompts import PROMPTS
from clip2.world.teacher.pictures import Pictures
from data_prep.world import get_category, list_categories
from data_prep.world.palette import COLORS, SIZES

# Purposes and kinds above the categories, with the categories they are true of.
_KINDS = {
    "something to sit on": "armchair, bench, chair, sofa, stool",
    "seating": "armchair, bench, chair, sofa, stool",
    "something to sleep on": "bed, sofa",
    "something to drink from": "bottle, mug, wine glass",
    "something to pour from": "bottle, coffee maker, pitcher, teapot, watering can",
    "something to cook with": "frying pan, microwave, oven, pot",
    "something to write at": "coffee table, desk, table",
    "something to read": "book",
    "something to play with": "drum, guitar, skateboard, soccer ball, teddy bear",
    "something that gives light": "candle, lamp, lamppost, table lamp, traffic light",
    "something to carry things in": "backpack, basket, box, bucket, suitcase",
    "something to ride": "bicycle, motorcycle, skateboard",
    "something to store things in": "bookcase, box, dresser, refrigerator",
    "something to climb": "ladder",
    "a toy": "soccer ball, teddy bear",
    "a musical instrument": "drum, guitar",
    "a vehicle": "bicycle, bus, car, construction vehicle, motorcycle, truck, van",
    "a plant": "potted plant, tree",
    "a piece of furniture": "armchair, bed, bench, bookcase, chair, coffee table, desk, dresser, sofa, stool, table",
    "a household appliance": "blender, coffee maker, fan, microwave, oven, refrigerator, toaster, washing machine",
    "a container": "basket, bottle, bowl, box, bucket, pitcher, pot, trash can, vase",
    "a road sign": "stop sign",
}
KINDS: dict[str, tuple[str, ...]] = {kind: tuple(names.split(", ")) for kind, names in _KINDS.items()}

# Sentence templates: those of the evaluation, and others against overfitting to one template.
FRAMES = (
    *PROMPTS["clip2"] * 8,
    *PROMPTS["plain"] * 8,
    *PROMPTS["ulip-64"],
    *("{}", "one {}", "the {}", "this is a {}", "a {} seen from one side", "a picture of a {}") * 4,
)


@dataclass(frozen=True)
class Caption:
    """A sentence and its claims.

    Attributes:
        text: the sentence.
        categories: rows of ``list_categories()`` it may be about; empty = anything.
        color: row of ``COLORS``, -1 = no color is named.
        word: a material, pattern or part that it names, or "".
    """

    text: str
    categories: tuple[int, ...]
    color: int
    word: str


class Captioner:
    """Caption writer; a caption makes no claim about attributes that it omits.

    Args:
        kinds: share of captions with a broader kind instead of the category name.
        colors: share of captions with the color.
        words: share of captions with a part, a material or a pattern.
    """

    def __init__(self, kinds: float = 0.08, colors: float = 0.6, words: float = 0.25) -> None:
        self._shares = kinds, colors, words
        self._names = list_categories()
        self._colors = list(COLORS)
        self._kinds_of = {
            name: [kind for kind, members in KINDS.items() if name in members] for name in self._names
        }
        self._rows = {name: row for row, name in enumerate(self._names)}

    def write(self, category: int, color: int, words: Sequence[str], rng: np.random.Generator) -> Caption:
        """One caption of one image.

        Args:
            category: row of ``list_categories()``.
            color: row of ``COLORS``; -1 = the true color is not visible and is not named.
            words: material, pattern, parts.
            rng: random generator.
        """
        kinds, colors, others = self._shares
        name = self._names[category]
        with_color = color >= 0 and rng.random() < colors
        said = self._colors[color] if with_color else ""
        claimed = color if with_color else -1
        if self._kinds_of[name] and rng.random() < kinds:
            kind = self._kinds_of[name][rng.integers(len(self._kinds_of[name]))]
            members = tuple(self._rows[member] for member in KINDS[kind])
            return Caption(_with_color(kind, said), members, claimed, "")
        if with_color and rng.random() < 0.06:
            return Caption(("something {}" if rng.random() < 0.5 else "{}").format(said), (), claimed, "")
        noun = self._noun(name, rng)
        size = list(SIZES)[rng.integers(len(SIZES))] if rng.random() < 0.1 else ""  # a crop shows no size
        word, before, after = "", "", ""
        if words and rng.random() < others:
            chosen = int(rng.integers(len(words)))
            word = words[chosen] if words[chosen] != "plain" else ""
            # Material and pattern go before the name: "a striped chair"; parts after it: "a chair with armrests".
            before, after = (word, "") if chosen < 2 else ("", f"with {word}")
        phrase = " ".join(part for part in (size, said, before, noun, after) if part)
        frame = FRAMES[rng.integers(len(FRAMES))]
        return Caption(frame.format(phrase), (category,), claimed, word)

    def name(self, category: int, color: int, rng: np.random.Generator) -> str:
        """A sentence that says only the name, and the color if ``color`` is not -1."""
        noun = self._noun(self._names[category], rng)
        said = f"{self._colors[color]} {noun}" if color >= 0 else noun
        return FRAMES[rng.integers(len(FRAMES))].format(said)

    def _noun(self, name: str, rng: np.random.Generator) -> str:
        synonyms = get_category(name).synonyms
        return synonyms[rng.integers(len(synonyms))] if synonyms and rng.random() < 0.4 else name


def true_of(captions: Sequence[Caption], pictures: Pictures, rows: NDArray, color_shown: NDArray) -> NDArray:
    """(T, I) bool: caption t is true of image ``rows[i]`` as shown.

    Args:
        captions: T captions.
        pictures: where the rows point.
        rows: (I,) images of the batch.
        color_shown: (I,) bool, False if the color was removed or changed; captions that name a color are then false.
    """
    names = len(list_categories())
    allowed = np.zeros((len(captions), names), bool)
    for row, caption in enumerate(captions):
        allowed[row, list(caption.categories) if caption.categories else slice(None)] = True
    true = allowed[:, pictures.category[rows]]
    claimed = np.array([caption.color for caption in captions])
    true &= (claimed[:, None] < 0) | ((claimed[:, None] == pictures.color[rows][None]) & color_shown[None])
    spoken = [(row, caption.word) for row, caption in enumerate(captions) if caption.word]
    has: dict[str, NDArray] = {}
    for row, word in spoken:
        if word not in has:
            has[word] = np.array([word in pictures.words[i] for i in rows])
        true[row] &= has[word]
    return true


def _with_color(kind: str, color: str) -> str:
    """
    >>> _with_color("something to sit on", "red"), _with_color("a toy", "red"), _with_color("luggage", "")
    ('something red to sit on', 'a red toy', 'luggage')
    """
    if not color:
        return kind
    first, _, rest = kind.partition(" ")
    return f"{first} {color} {rest}" if rest else f"{color} {kind}"
