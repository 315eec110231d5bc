"""User cache of label vectors: each is computed once per machine, whatever process asks for it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.teacher.prompts import PROMPTS, fill_templates
from data_prep.errors import InputError
from data_prep.storage.reading import require_plain_tables
from data_prep.storage.urls import cache_root

LARGEST = 256 << 20  # bytes of vectors; the least recently used go first
_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors (space TEXT, prompts TEXT, label TEXT, vector BLOB, used REAL,"
    " PRIMARY KEY (space, prompts, label)) WITHOUT ROWID"
)
_PATIENCE = 60.0  # seconds that a process waits for another one's transaction


class TextCache:
    """Vectors by CLIP model, prompt set and label, in one SQLite file that any number of processes share.

    Args:
        path: the file; None: ``text.sqlite`` in the user cache.
        largest: bytes of vectors to keep.
    """

    def __init__(self, path: Path | None = None, largest: int = LARGEST) -> None:
        self.path = cache_root() / "text.sqlite" if path is None else path
        self.largest = largest

    def get(self, space: str, templates: str, labels: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The sound vectors that are there, by label.

        Args:
            space: CLIP model, and precision of its weights if not float32.
            templates: prompt set, a key of :data:`~clip2.teacher.PROMPTS`.
            labels: as the user wrote them.

        Raises:
            InputError: the file is damaged or cannot be read.
        """
        if not self.path.is_file():
            return {}
        found = {}
        key = (space, _prompts_key(templates))
        with self._open() as database:
            for label in labels:
                spoken = _spoken(label)
                row = database.execute(
                    "SELECT vector FROM vectors WHERE space = ? AND prompts = ? AND label = ?", (*key, spoken)
                ).fetchone()
                vector = None if row is None else _vector(row[0])
                if vector is not None:
                    found[label] = vector
            if not os.access(self.path, os.W_OK):  # a machine may have the cache for reading only
                return found
            database.executemany(
                "UPDATE vectors SET used = ? WHERE space = ? AND prompts = ? AND label = ?",
                [(time.time(), *key, _spoken(label)) for label in found],
            )
        return found

    def put(self, space: str, templates: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep vectors by label; arguments and errors as in :meth:`get`."""
        key, now = (space, _prompts_key(templates)), time.time()
        rows = [
            (*key, _spoken(label), np.asarray(vector, dtype="<f4").tobytes(), now)
            for label, vector in vectors.items()
        ]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", rows)
            (total,) = database.execute("SELECT COALESCE(SUM(LENGTH(vector)), 0) FROM vectors").fetchone()
            if total > self.largest:
                database.execute(
                    "DELETE FROM vectors WHERE used <= (SELECT used FROM (SELECT used, SUM(LENGTH(vector)) OVER"
                    " (ORDER BY used DESC, space, prompts, label) AS kept FROM vectors) WHERE kept > ?"
                    " ORDER BY used DESC LIMIT 1) AND used < ?",
                    (self.largest, now),
                )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing, also if the process is killed."""
        try:
            database = sqlite3.connect(self.path, timeout=_PATIENCE)
            try:
                with database:
                    require_plain_tables(database)
                    database.execute(_TABLE)
                    yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> InputError:
        return InputError(
            f"the cache of label vectors cannot be used ({error})",
            source=self.path,
            fix="delete the file if it is damaged, or set CLIP2_CACHE to a folder you may write into",
        )


def _vector(content: object) -> NDArray[np.float32] | None:
    """A vector of the file; None: it is none, for a column holds values of any type and length."""
    if not isinstance(content, bytes) or len(content) % 4:
        return None
    vector = np.frombuffer(content, dtype="<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() else None


def _spoken(label: str) -> str:
    """One spelling per prompt: what a prompt makes of a label."""
    return fill_templates(label, "plain")[0].removeprefix("a ")


def _prompts_key(templates: str) -> str:
    """Name of a prompt set and a hash of its sentences, so that a changed set is another one."""
    digest = hashlib.sha256("\n".join(PROMPTS[templates]).encode()).hexdigest()
    return f"{templates}@{digest[:12]}"
