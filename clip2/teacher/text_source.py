"""What the rest of the package needs from whatever turns words into vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN, normalize_label, parse_labels
from data_prep.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self


@runtime_checkable
class TextSource(Protocol):
    """Words → vectors: a :class:`~clip2.teacher.TextBank` (a file) or a :class:`~clip2.teacher.Teacher` (a network).

    Attributes:
        model: canonical name of the CLIP model the vectors belong to.
        width: D, numbers per vector.
        templates: prompt set its vectors are made with, a key of ``PROMPTS``; None: not known.
    """

    @property
    def model(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def templates(self) -> str | None: ...

    def with_templates(self, templates: str) -> Self:
        """This source, speaking in another prompt set; a file of vectors cannot, unless it never said its own.

        Raises:
            InputError: it cannot.
        """
        ...

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows, in the order of the K labels.

        Raises:
            InputError: no labels, a label twice, or a label this source has no vector for.
        """
        ...


def words_asked(
    text: TextSource, labels: str | Iterable[str] | None, background: str | Iterable[str] = ()
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The words of a question and their vectors.

    Args:
        text: where vectors come from.
        labels: what may be answered; None: every word that ``text`` lists and ``background`` does not.
        background: further words that compete.

    Returns:
        The labels, and the vectors (K, D) of labels and background words, in this order.

    Raises:
        InputError: no labels, a word twice, a word without a vector, ``unknown`` among the labels, or None where
            ``text`` lists no words.
    """
    unwanted = parse_labels(background, source="background") if background else ()
    if labels is None:
        listed: tuple[str, ...] = getattr(text, "names", ())
        gone = {UNKNOWN, *map(normalize_label, unwanted)}
        labels = [word for word in listed if normalize_label(word) not in gone]
        if not listed:
            raise InputError(
                f"are missing, and {text.model} lists no words of its own",
                field="labels",
                fix='name the words to choose from, like "chair,table"',
            )
    wanted = parse_labels(labels)
    if UNKNOWN in map(normalize_label, wanted):
        raise InputError(
            f"{UNKNOWN!r} is not a word to ask for",
            field="labels",
            fix="leave it out: objects unlike all that the model was trained on are called so by themselves",
        )
    return wanted, text.embed_labels(parse_labels([*wanted, *unwanted]))
