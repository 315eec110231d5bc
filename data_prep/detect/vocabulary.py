"""Detector vocabulary: a named list, a text file, or labels on the command line."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError
from data_prep.labels import normalize_label
from data_prep.storage.reading import read_text

_LISTS = Path(__file__).parent / "vocabularies"


@dataclass(frozen=True)
class Vocabulary:
    """Labels, and for each the phrases that the detector searches for.

    Attributes:
        name: of the list or file; ``words`` for labels given directly.
        labels: K labels, as they appear in the detections.
        phrases: for each label one or more phrases; the best match counts for the label.

    Raises:
        InputError: no labels, an empty one, or one given twice (case, ``_`` and blanks do not matter).
    """

    name: str
    labels: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError(
                "holds no labels", source=self.name, field="vocabulary", fix="give at least one label"
            )
        seen: dict[str, str] = {}
        for label, phrases in zip(self.labels, self.phrases, strict=True):
            key = normalize_label(label)
            if not key or not phrases or not all(map(normalize_label, phrases)):
                raise InputError(
                    f"has an empty phrase beside {label!r}",
                    source=self.name,
                    field="vocabulary",
                    fix="write LABEL, or LABEL = PHRASE, PHRASE",
                )
            if key in seen:
                raise InputError(
                    f"{label!r} comes twice (first as {seen[key]!r})",
                    source=self.name,
                    field="vocabulary",
                    fix="leave one out",
                )
            seen[key] = label

    @classmethod
    def load(cls, text: str) -> Vocabulary:
        """Read a vocabulary from a command-line value.

        Args:
            text: name of a bundled list (:func:`list_vocabularies`); a text file with one label per line, ``#`` for
                comments, ``label = phrase, phrase`` to search for other phrases than the label; or labels separated
                by commas.

        Raises:
            InputError: no such list or file, or unusable labels.

        >>> Vocabulary.load("coco").labels[:3]
        ('person', 'bicycle', 'car')
        >>> Vocabulary.load("traffic_cone,mug").phrases
        (('traffic cone',), ('mug',))
        """
        if text in list_vocabularies():
            return cls._parse(text, (_LISTS / f"{text}.txt").read_text(encoding="utf-8").splitlines())
        path = Path(text).expanduser()
        if path.is_file():
            return cls._read(path)
        if path.suffix == ".txt" or ("/" in text and "," not in text):
            raise InputError("does not exist", source=text, field="vocabulary", fix="check the path")
        # A single label close to the name of a list is probably a typo; a comma marks it as intended.
        near = [] if "," in text else difflib.get_close_matches(text, list_vocabularies(), n=1, cutoff=0.75)
        if near:
            raise InputError(
                f"{text!r} is not a list (there are {', '.join(list_vocabularies())})",
                field="vocabulary",
                fix=f"did you mean {near[0]}? Give your own file by its path, labels with commas (mug,bottle), "
                f"a single label with a comma after it: {text},",
            )
        return cls.of(word for word in text.split(",") if word.strip())

    @classmethod
    def of(cls, words: Iterable[str]) -> Vocabulary:
        """A vocabulary of these labels, each searched for as written."""
        return cls._parse("words", list(words))

    @classmethod
    def _read(cls, path: Path) -> Vocabulary:
        try:
            lines = read_text(path, "utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot be read ({error})", source=path, field="vocabulary", fix="write it as UTF-8 text"
            ) from error
        return cls._parse(str(path), lines)

    @classmethod
    def _parse(cls, name: str, lines: list[str]) -> Vocabulary:
        labels, phrases = [], []
        for line in lines:
            words = line.split("#")[0].strip()
            if not words:
                continue
            label, equals, asked = words.partition("=")
            labels.append(label.strip())
            phrases.append(tuple(spoken(phrase) for phrase in (asked.split(",") if equals else [label])))
        return cls(name, tuple(labels), tuple(phrases))

    def queries(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """All phrases in order, and for each the number of its label."""
        pairs = [(phrase, k) for k, phrases in enumerate(self.phrases) for phrase in phrases]
        return tuple(phrase for phrase, _ in pairs), tuple(k for _, k in pairs)

    def describe(self) -> dict[str, object]:
        """Name, number of labels, and a hash of labels and phrases."""
        content = "\n".join(
            f"{label}={','.join(phrases)}" for label, phrases in zip(self.labels, self.phrases, strict=True)
        )
        return {
            "name": Path(self.name).name,
            "labels": len(self.labels),
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
        }


def list_vocabularies() -> list[str]:
    """Names of the bundled lists."""
    return sorted(path.stem for path in _LISTS.glob("*.txt"))


def spoken(word: str) -> str:
    """A category's name as a phrase for a text tower.

    >>> spoken("bat_(animal)"), spoken("cutting/chopping board")
    ('bat animal', 'cutting or chopping board')
    """
    return normalize_label(word.replace("/", " or ").replace("(", " ").replace(")", " "))
