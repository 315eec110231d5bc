"""Text sources: label → vector lookups, and the CLIP embedding space they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN, normalize_label, parse_labels
from data_prep.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

# OpenAI's own spelling: ViT-B/32, ViT-L/14@336px. open_clip's for the same weights: ViT-B-32/openai.
_OPENAI_OWN = re.compile(r"ViT-([A-Z])/(\d+)(?:@(\d+)px)?")


@runtime_checkable
class TextSource(Protocol):
    """Label vectors: a :class:`~clip2.teacher.TextBank` (a file) or a :class:`~clip2.teacher.Teacher` (a network).

    Attributes:
        model: canonical name of the CLIP model that the vectors belong to.
        width: D, width of the vectors.
        templates: prompt set of the vectors, a key of ``PROMPTS``; None if unknown.
    """

    @property
    def model(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def templates(self) -> str | None: ...

    def with_templates(self, templates: str) -> Self:
        """The same source with another prompt set.

        Raises:
            InputError: this source has vectors of one prompt set only.
        """
        ...

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows, in the order of the K labels.

        Raises:
            InputError: no labels, a label twice, or a label without a vector.
        """
        ...


def labels_and_vectors(
    text: TextSource, labels: str | Iterable[str] | None, background: str | Iterable[str] = ()
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The labels of a query, and vectors of labels and background.

    Args:
        text: source of the vectors.
        labels: labels to choose from; None: all labels that ``text`` lists, without ``background``.
        background: labels that compete but are never returned.

    Returns:
        The K labels, and the vectors (K + B, D) of labels and background, in this order.

    Raises:
        InputError: no labels, a label twice, a label without a vector, ``unknown`` among the labels, or None where
            ``text`` lists no labels.
    """
    others = parse_labels(background, source="background") if background else ()
    if labels is None:
        listed: tuple[str, ...] = getattr(text, "names", ())
        excluded = {UNKNOWN, *map(normalize_label, others)}
        labels = [label for label in listed if normalize_label(label) not in excluded]
        if not listed:
            raise InputError(
                f"are missing, and {text.model} lists none",
                field="labels",
                fix='give the labels to choose from, like "chair,table"',
            )
    wanted = parse_labels(labels)
    if UNKNOWN in map(normalize_label, wanted):
        raise InputError(
            f"{UNKNOWN!r} cannot be asked for",
            field="labels",
            fix="leave it out: objects unlike the training set get this label by themselves",
        )
    return wanted, text.embed_labels(parse_labels([*wanted, *others]))


def canonical_model(name: str) -> str:
    """Name of a CLIP model's embedding space: open_clip's ``NAME/TAG``. Two names of one space come out equal.

    Resolved aliases:

    - ``NAME-quickgelu/TAG``: the activation follows from the tag; ``Teacher.load`` builds the network that the tag was
      trained as, under either spelling.
    - ``ViT-B/32``, ``ViT-L/14@336px``: names of OpenAI's own package.

    ``Teacher.load`` also resolves ``hf-hub:`` names of weights that open_clip lists under a ``NAME/TAG``.

    >>> canonical_model("ViT-B-32-quickgelu/openai"), canonical_model("ViT-L/14@336px")
    ('ViT-B-32/openai', 'ViT-L-14-336/openai')
    """
    name = name.strip()
    own = _OPENAI_OWN.fullmatch(name)
    if own:
        size, patch, pixels = own.groups()
        return f"ViT-{size}-{patch}{f'-{pixels}' if pixels else ''}/openai"
    return re.sub("-quickgelu/", "/", name)
