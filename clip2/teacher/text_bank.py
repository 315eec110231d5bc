"""Text bank: precomputed label vectors, which replace a text tower at run time."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import normalize_label, parse_labels
from clip2.teacher.text_source import canonical_model
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import read_arrays

if TYPE_CHECKING:
    from clip2.teacher.teacher import Teacher

# Rows that differ more from length 1 are not rounded unit vectors.
_UNIT_TOLERANCE = 1e-2
# Vectors of two spellings of one label may differ by rounding only.
_SAME_VECTOR = 1e-5


@dataclass(frozen=True, eq=False)
class TextBank:
    """K labels with unit vectors in one CLIP model's space. A :class:`~clip2.teacher.TextSource`.

    Labels are compared without case, and ``_`` counts as a space. Of two spellings of one label with the same vector
    the first is kept; with different vectors they are rejected.

    Attributes:
        names: K labels.
        embeddings: (K, D) float32, unit rows; rows within 1 % of unit length are normalized.
        model: canonical name of the CLIP model, for example ``ViT-B-32/openai``.
        templates: prompt set of the vectors, a key of ``PROMPTS``; None if unknown.
        source: the file, for error messages.

    Raises:
        InputError: shapes that do not fit, NaN or inf, rows that are not unit, a label twice, an empty bank.

    >>> bank = TextBank(("chair", "table"), np.eye(2, dtype=np.float32), "ViT-B-32/openai")
    >>> bank.lookup("Table, chair").tolist()
    [[0.0, 1.0], [1.0, 0.0]]
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
            raise InputError(
                "is empty", source=self.source, field="model", fix="give the name of the CLIP model"
            )
        rows: dict[str, int] = {}
        for row, name in enumerate(names):
            first = rows.setdefault(normalize_label(name), row)
            if not name.strip():
                raise InputError(f"name {row} is empty", source=self.source, field="names")
            if first != row and names[first] == name:
                raise InputError(f"holds {name!r} twice", source=self.source, field="names", fix="keep one")
            if first != row and np.abs(vectors[first] - vectors[row]).max() > _SAME_VECTOR:
                raise InputError(
                    f"{names[first]!r} and {name!r} are one label with two vectors",
                    source=self.source,
                    field="names",
                    fix="keep one of them",
                )
        kept = list(rows.values())
        object.__setattr__(self, "names", tuple(names[row] for row in kept))
        object.__setattr__(self, "embeddings", np.ascontiguousarray(vectors[kept]))
        object.__setattr__(self, "model", canonical_model(self.model))
        object.__setattr__(self, "_rows", {label: position for position, label in enumerate(rows)})

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, label: object) -> bool:
        return isinstance(label, str) and self.find(label) is not None

    @property
    def width(self) -> int:
        """D, width of the vectors."""
        return self.embeddings.shape[1]

    @classmethod
    def load(cls, path: str | Path, model: str | None = None) -> TextBank:
        """Read a bank from an npz file with ``names`` (K,) and ``embeddings`` (K, D).

        Args:
            path: the file; it may also hold ``model`` and ``templates``, as :meth:`save` writes them.
            model: CLIP model of the vectors, if the file does not state it.

        Raises:
            InputError: an unreadable or pickled file, missing keys, no model, or another model than the file's.
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
            raise InputError("is not a list of strings", source=path, field="names", fix="store (K,) strings")
        stated = str(arrays["model"]) if "model" in arrays else None
        if stated is None and model is None:
            raise InputError(
                "is missing: the file does not state the CLIP model of its vectors",
                source=path,
                field="model",
                fix='give model="ViT-B-32/openai" in Python, --bank-model on the command line',
            )
        if stated and model and canonical_model(stated) != canonical_model(model):
            raise InputError(
                f"is {stated!r} in the file, but {model!r} was given",
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
        """A bank of ``labels``, computed by a CLIP text tower with one of the prompt sets ``PROMPTS``."""
        names = parse_labels(labels)
        return cls(names, teacher.encode_texts(names, templates), teacher.model, templates)

    def save(self, path: str | Path) -> None:
        """Write an npz file; it appears whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self._write)

    def find(self, label: str) -> int | None:
        """Row of a label, or None if the bank does not have it."""
        return self._rows.get(normalize_label(label))

    def lookup(self, labels: str | Iterable[str]) -> NDArray[np.float32]:
        """Vectors of labels, (K, D) float32 unit rows in the given order.

        Raises:
            InputError: no labels, a label twice, or labels that the bank does not have (the nearest are named).
        """
        asked = parse_labels(labels)
        rows = [self.find(label) for label in asked]
        missing = [label for label, row in zip(asked, rows, strict=True) if row is None]
        if missing:
            raise InputError(
                self._describe_missing(missing), source=self.source, field="labels", fix=_MISSING_FIX
            )
        return self.embeddings[np.array(rows, dtype=np.int64)]

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """:meth:`lookup`, under the name that every :class:`TextSource` has."""
        return self.lookup(labels)

    def with_templates(self, templates: str) -> TextBank:
        """This bank, if its prompt set is this one or unknown.

        Raises:
            InputError: its vectors are of another prompt set.
        """
        if self.templates not in (None, templates):
            raise InputError(
                f"holds vectors of the prompt set {self.templates!r}, expected {templates!r}",
                source=self.source,
                field="templates",
                fix=f"use a text bank made with {templates!r}",
            )
        return self

    def select(self, labels: str | Iterable[str]) -> TextBank:
        """A bank of these labels only, in this order and spelling."""
        chosen = parse_labels(labels)
        return TextBank(chosen, self.lookup(chosen), self.model, self.templates, self.source)

    def merged(self, other: TextBank) -> TextBank:
        """This bank with the labels that only ``other`` has; a label in both keeps this bank's vector.

        Raises:
            InputError: ``other`` is of another model or width.
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
        """Check that the vectors are of ``model`` and ``width`` wide.

        Raises:
            InputError: they are not; both sides are named.
        """
        expected = canonical_model(model)
        if self.model != expected or self.width != width:
            raise InputError(
                f"holds vectors of {self.model} ({self.width} wide), expected {expected} ({width} wide)",
                source=self.source,
                field="model",
                fix=f"use a text bank of {expected}",
            )

    def fingerprint(self) -> str:
        """Hash of model, labels and vectors; banks with equal fingerprints are interchangeable."""
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

    def _describe_missing(self, labels: Sequence[str]) -> str:
        parts = []
        for label in labels[:5]:
            near = difflib.get_close_matches(normalize_label(label), self._rows, n=3, cutoff=0.6)
            parts.append(
                f"{label!r} (nearest: {', '.join(near)})" if near else f"{label!r} (nothing similar)"
            )
        more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
        return f"has no vector for {', '.join(parts)}{more}"


_MISSING_FIX = "use a label of the bank, or compute its vector with a CLIP text tower (TextBank.from_teacher)"


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
        raise InputError(
            f"holds NaN or inf in {bad} rows", source=source, field="embeddings", fix="recompute them"
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    worst = float(np.abs(lengths - 1).max())
    if worst > _UNIT_TOLERANCE:
        raise InputError(
            f"rows are not unit vectors (a length is off by {worst:.3g})",
            source=source,
            field="embeddings",
            fix="divide each row by its length",
        )
    # Rows that are unit up to float32 rounding stay bit-identical, so that saving and loading changes nothing.
    exact = np.abs(lengths - 1) < 1e-6
    return np.where(exact, vectors, vectors / lengths).astype(np.float32)


def _read_npz(path: Path) -> dict[str, NDArray]:
    if not path.is_file():
        raise InputError("does not exist", source=path, fix="check the path of the text bank")
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as an npz of plain arrays ({error})",
            source=path,
            fix="give a text bank: an npz with names and embeddings, nothing pickled",
        ) from error
