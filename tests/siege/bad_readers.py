"""Readers that do what none may do, to try the trial."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from siege.trial import Target

from data_prep.errors import InputError


def make(folder: Path) -> None:
    (folder / "numbers.txt").write_text("1 2 3 " * 100)


def crash(folder: Path) -> None:
    ctypes.string_at(0)


def raise_key_error(folder: Path) -> None:
    raise KeyError("key")


def take_memory(folder: Path) -> None:
    np.ones(1 << 40)


def quote_everything(folder: Path) -> None:
    error = InputError("is wrong")
    error.args = ("x" * 5000,)
    raise error


def _only_damaged(read: object) -> object:
    def read_damaged(folder: Path) -> None:
        if (folder / "numbers.txt").read_text(errors="replace") != "1 2 3 " * 100:
            read(folder)  # type: ignore[operator]

    return read_damaged


TARGETS = {
    read.__name__: Target(make, _only_damaged(read))  # type: ignore[arg-type]
    for read in (crash, raise_key_error, take_memory, quote_everything)
}
