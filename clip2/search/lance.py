"""Failures of LanceDB as one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from safetensors import SafetensorError

from data_prep.errors import InputError

_LANCE_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError)


class OneLine:
    """Inside, a failure of LanceDB is one line that names the index.

    Damaged files make it panic in Rust, and no module exports the class of that error: it is known by its name.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or error is None or issubclass(kind, InputError):
            return
        if issubclass(kind, (*_LANCE_ERRORS, SafetensorError)) or kind.__name__ in (
            "RustPanic",
            "PanicException",
        ):
            fix = "get the right to use it; if it is damaged, make it again with clip2 index"
            raise InputError(f"cannot be used ({_first_line(error)})", source=self._path, fix=fix) from error


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Inside, the index at ``path`` is written; a failure is one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # the second is how LanceDB tells of a full disk
        raise InputError(
            f"cannot be written ({_first_line(error)})",
            source=path,
            fix="make room or get the right to write there, and run the same again",
        ) from error


def table_names(database: Any) -> list[str]:
    """Names of the tables of a connection."""
    listed = database.list_tables()
    return list(getattr(listed, "tables", listed))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
