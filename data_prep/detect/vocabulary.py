"""Which words a detector is asked for: a named list, a file of one's own, or words on the command line."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError

_LISTS = Path(__file__).parent / "vocabularies"


@dataclass(frozen=True)
class Vocabulary:
    """Labels, and for each the phrases that a detector is asked for.

    Attributes:
        name: of the list, ``words`` for words given directly.
        labels: K words, as they will stand in the detections.
        phrases: for each label one or more phrases; whichever is found best counts for the label.

    Raises:
        InputError: no labels, an empty one, or one given twice (case, ``_`` and blanks do not tell words apart).
    """

    name: str
    labels: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError(
                "holds no words", source=self.name, field="vocabulary", fix="give at least one word"
            )
        seen: dict[str, str] = {}
        for label, phrases in zip(self.labels, self.phrases, strict=True):
            key = normalize_word(label)
            if not key or not phrases or not all(map(normalize_word, phrases)):
                raise InputError(
                    f"has an empty word beside {label!r}",
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
        """Read a vocabulary by what a person types.

        Args:
            text: a list that ships with us (:func:`list_vocabularies`); a text file with one word per line, ``#``
                for comments, ``label = phrase, phrase`` where the detector is to be asked for something else than
                the label; or words parted by commas.

        Raises:
            InputError: no such list or file, or the words are not usable.

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
        # One word that is almost the name of a list is a slip; a comma says that it is meant.
        near = [] if "," in text else difflib.get_close_matches(text, list_vocabularies(), n=1, cutoff=0.75)
        if near:
            raise InputError(
                f"{text!r} is not a list (there are {', '.join(list_vocabularies())})",
                field="vocabulary",
                fix=f"did you mean {near[0]}? A file of your own is given by its path, words with commas: mug,bottle; "
                f"the one word with a comma after it: {text},",
            )
        return cls.of(word for word in text.split(",") if word.strip())

    @classmethod
    def of(cls, words: Iterable[str]) -> Vocabulary:
        """A vocabulary of these words, each asked for as it is."""
        return cls._parse("words", list(words))

    @classmethod
    def _read(cls, path: Path) -> Vocabulary:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
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
        """What identifies it: name, number of labels and a hash of labels and phrases."""
        content = "\n".join(
            f"{label}={','.join(phrases)}" for label, phrases in zip(self.labels, self.phrases, strict=True)
        )
        return {
            "name": Path(self.name).name,
            "labels": len(self.labels),
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
        }


def list_vocabularies() -> list[str]:
    """Names of the word lists that ship with us."""
    return sorted(path.stem for path in _LISTS.glob("*.txt"))


def normalize_word(word: str) -> str:
    """Lower case, ``_`` and runs of blanks as one blank."""
    return " ".join(word.replace("_", " ").lower().split())


def spoken(word: str) -> str:
    """A category's name as a phrase for a text tower.

    >>> spoken("bat_(animal)"), spoken("cutting/chopping board")
    ('bat animal', 'cutting or chopping board')
    """
    return normalize_word(word.replace("/", " or ").replace("(", " ").replace(")", " "))
