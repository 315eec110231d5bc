"""Word vectors computed beforehand, so that naming things needs no text tower."""

from __future__ import annotations

import difflib
import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label, parse_labels
from clip2.teacher.model_names import canonical_model
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher

# Rows further than this from length 1 are not rounded unit vectors but something else.
_UNIT_TOLERANCE = 1e-2
# Two spellings of one word may carry vectors that differ by rounding, not by more.
_SAME_VECTOR = 1e-5


@dataclass(frozen=True, eq=False)
class TextBank:
    """K words with their unit vectors in one CLIP model's space. A :class:`TextSource`.

    Words are compared without case, with ``_`` and any blanks as one space. Two spellings of one word with the same
    vector are kept once (the first spelling); with different vectors they are refused.

    Attributes:
        names: K words.
        embeddings: (K, D) float32, unit rows; rows within 1 % of unit length are renormalized.
        model: canonical name of the CLIP model, for example ``ViT-B-32/openai``.
        templates: name of the prompt set the vectors were made with, or None: not known.
        source: the file it came from, for error messages.

    Raises:
        InputError: shapes that do not fit, NaN or inf, rows that are not unit, a name twice, an empty bank.
    """

    names: tuple[str, ...]
    embeddings: NDArray[np.float32]
    model: str
    templates: str | None = None
    source: str = "text bank"
    _rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        vectors = _unit_rows(self.embeddings, len(names), self.source)
        if not self.model.strip():
            raise InputError("is empty", source=self.source, field="model", fix="name the CLIP model")
        rows: dict[str, int] = {}
        for row, name in enumerate(names):
            first = rows.setdefault(normalize_label(name), row)
            if not name.strip():
                raise InputError(f"name {row} is empty", source=self.source, field="names")
            if first != row and names[first] == name:
                raise InputError(
                    f"{name!r} is there twice", source=self.source, field="names", fix="keep one"
                )
            if first != row and np.abs(vectors[first] - vectors[row]).max() > _SAME_VECTOR:
                raise InputError(
                    f"{names[first]!r} and {name!r} are one word with two vectors",
                    source=self.source,
                    field="names",
                    fix="keep one of them",
                )
        kept = list(rows.values())
        object.__setattr__(self, "names", tuple(names[row] for row in kept))
        object.__setattr__(self, "embeddings", np.ascontiguousarray(vectors[kept]))
        object.__setattr__(self, "model", canonical_model(self.model))
        object.__setattr__(self, "_rows", {word: position for position, word in enumerate(rows)})

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, label: object) -> bool:
        return isinstance(label, str) and self.find(label) is not None

    @property
    def width(self) -> int:
        """D, numbers per vector."""
        return self.embeddings.shape[1]

    @classmethod
    def load(cls, path: str | Path, model: str | None = None) -> TextBank:
        """Read a bank from an npz file with ``names`` (K,) and ``embeddings`` (K, D).

        Args:
            path: the file. Ours also say ``model``; files made elsewhere often do not.
            model: the CLIP model the vectors come from; needed when the file does not say it.

        Raises:
            InputError: unreadable, pickled, keys missing, no model given, or another model than the file's.
        """
        arrays = _read_npz(Path(path))
        for key in ("names", "embeddings"):
            if key not in arrays:
                raise InputError(
                    f"is missing (the file has {', '.join(sorted(arrays)) or 'nothing'})",
                    source=path,
                    field=key,
                    fix="store names (K,) and embeddings (K, D)",
                )
        if arrays["names"].ndim != 1 or arrays["names"].dtype.kind not in "US":
            raise InputError("is not a list of words", source=path, field="names", fix="store (K,) strings")
        stated = str(arrays["model"]) if "model" in arrays else None
        if stated is None and model is None:
            raise InputError(
                "the file does not say which CLIP model its vectors come from",
                source=path,
                field="model",
                fix='say it: model="ViT-B-32/openai" in Python, --bank-model on the command line',
            )
        if stated and model and canonical_model(stated) != canonical_model(model):
            raise InputError(
                f"the file says {stated!r}, you said {model!r}",
                source=path,
                field="model",
                fix="use the bank of your model",
            )
        return cls(
            names=tuple(arrays["names"].astype(str).tolist()),
            embeddings=arrays["embeddings"],
            model=stated or model or "",
            templates=str(arrays["templates"]) or None if "templates" in arrays else None,
            source=str(path),
        )

    @classmethod
    def from_teacher(
        cls, teacher: Teacher, labels: str | Iterable[str], templates: str = "clip2"
    ) -> TextBank:
        """Compute the vectors of ``labels`` with a CLIP text tower and one of the prompt sets ``PROMPTS``."""
        names = parse_labels(labels)
        return cls(names, teacher.encode_texts(names, templates), teacher.model, templates)

    def save(self, path: str | Path) -> None:
        """Write an npz that states its model; the file appears whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self._write)

    def find(self, label: str) -> int | None:
        """Row of a word, or None where the bank does not have it."""
        return self._rows.get(normalize_label(label))

    def lookup(self, labels: str | Iterable[str]) -> NDArray[np.float32]:
        """Vectors of words, (K, D) float32 unit rows in the given order.

        Raises:
            InputError: no words, a word twice, or words the bank does not have (the nearest are named).
        """
        words = parse_labels(labels)
        rows = [self.find(word) for word in words]
        unknown = [word for word, row in zip(words, rows, strict=True) if row is None]
        if unknown:
            raise InputError(self._say_unknown(unknown), source=self.source, field="labels", fix=_UNKNOWN_FIX)
        return self.embeddings[np.array(rows, dtype=np.int64)]

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """:meth:`lookup`, under the name that every :class:`TextSource` has."""
        return self.lookup(labels)

    def with_templates(self, templates: str) -> TextBank:
        """This bank, if its vectors were made with these prompts or it does not say with which.

        Raises:
            InputError: they were made with others.
        """
        if self.templates not in (None, templates):
            raise InputError(
                f"holds vectors of the prompts {self.templates!r}, needed are {templates!r}",
                source=self.source,
                field="templates",
                fix=f"use a text bank made with {templates!r}",
            )
        return self

    def select(self, labels: str | Iterable[str]) -> TextBank:
        """A bank of these words only, in this order and spelling."""
        words = parse_labels(labels)
        return TextBank(words, self.lookup(words), self.model, self.templates, self.source)

    def merged(self, other: TextBank) -> TextBank:
        """This bank and the words that only ``other`` has; a word in both keeps this bank's vector.

        Raises:
            InputError: ``other`` belongs to another model or width.
        """
        other.require(self.model, self.width)
        new = [row for row, name in enumerate(other.names) if name not in self]
        return TextBank(
            names=self.names + tuple(other.names[row] for row in new),
            embeddings=np.concatenate([self.embeddings, other.embeddings[new]]),
            model=self.model,
            templates=self.templates if self.templates == other.templates else None,
            source=self.source,
        )

    def require(self, model: str, width: int) -> None:
        """Refuse this bank unless it was made by ``model`` and its vectors have ``width`` numbers.

        Raises:
            InputError: it was not; both sides are named.
        """
        expected = canonical_model(model)
        if self.model != expected or self.width != width:
            raise InputError(
                f"holds vectors of {self.model} ({self.width} wide), needed are {expected} ({width} wide)",
                source=self.source,
                field="model",
                fix=f"use a text bank made by {expected}",
            )

    def fingerprint(self) -> str:
        """Hash of model, words and vectors; two banks with the same one are interchangeable."""
        digest = hashlib.sha256("\n".join((self.model, *self.names)).encode())
        digest.update(self.embeddings.tobytes())
        return digest.hexdigest()[:16]

    def _write(self, path: Path) -> None:
        with path.open("wb") as file:  # given a name, numpy would add .npz to it
            np.savez(
                file,
                names=np.array(self.names),
                embeddings=self.embeddings,
                model=np.array(self.model),
                templates=np.array(self.templates or ""),
            )

    def _say_unknown(self, words: Sequence[str]) -> str:
        said = []
        for word in words[:5]:
            near = difflib.get_close_matches(normalize_label(word), self._rows, n=3, cutoff=0.6)
            said.append(f"{word!r} (nearest: {', '.join(near)})" if near else f"{word!r} (nothing like it)")
        more = f" and {len(words) - 5} more" if len(words) > 5 else ""
        return f"has no vector for {', '.join(said)}{more}"


_UNKNOWN_FIX = "use a word the bank has, or compute one with a CLIP text tower (TextBank.from_teacher)"


def _unit_rows(embeddings: NDArray, count: int, source: str) -> NDArray[np.float32]:
    vectors = np.asarray(embeddings)
    if vectors.ndim != 2 or len(vectors) != count or vectors.size == 0 or vectors.dtype.kind != "f":
        raise InputError(
            f"is {vectors.dtype} {vectors.shape} for {count} names",
            source=source,
            field="embeddings",
            fix="store floats of shape (number of names, width)",
        )
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise InputError(f"NaN or inf in {bad} rows", source=source, field="embeddings", fix="recompute them")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    worst = float(np.abs(lengths - 1).max())
    if worst > _UNIT_TOLERANCE:
        raise InputError(
            f"rows are not unit vectors (a length is off by {worst:.3g})",
            source=source,
            field="embeddings",
            fix="divide each row by its length",
        )
    # Rows that are unit to float32 rounding stay bit-identical, so that banks survive save and load unchanged.
    exact = np.abs(lengths - 1) < 1e-6
    return np.where(exact, vectors, vectors / lengths).astype(np.float32)


def _read_npz(path: Path) -> dict[str, NDArray]:
    if not path.is_file():
        raise InputError("does not exist", source=path, fix="check the path of the text bank")
    try:
        # numpy takes what is no archive for a pickle, and says how to run that.
        if path.read_bytes()[:2] not in (b"PK", np.lib.format.MAGIC_PREFIX[:2]):
            raise InputError(
                "is not an npz", source=path, fix="give a text bank: an npz with names and embeddings"
            )
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InputError("is one bare array", source=path, fix="store an npz with names and embeddings")
        with file:
            return {key: file[key] for key in file.files}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot be read as an npz of plain arrays ({error})",
            source=path,
            fix="store strings and floats, nothing pickled",
        ) from error
