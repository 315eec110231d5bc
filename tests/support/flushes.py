"""A record of flushes and renames: whether what is renamed was flushed before, and its folder after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_Stamp = tuple[int, int]


class Flushes:
    """What a power cut would lose.

    Attributes:
        problems: files that were renamed before they were flushed as they are, and folders that were not flushed before the
            next rename.
        durable: files that were renamed as they should.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.durable: set[Path] = set()
        self._flushed: dict[_Stamp, _Stamp] = {}
        self._folders: dict[_Stamp, Path] = {}

    def flush(self, status: os.stat_result) -> None:
        self._flushed[_inode(status)] = _state(status)
        self._folders.pop(_inode(status), None)

    def rename(self, source: Path, target: Path) -> None:
        self.problems += [f"{target.name} is renamed, {at} not flushed" for at in self._folders.values()]
        inside = sorted(source.rglob("*")) if source.is_dir() else []
        for path in (source, *inside):
            status = path.stat()
            if self._flushed.get(_inode(status)) != _state(status):
                self.problems.append(f"{path.name} is not flushed before it becomes {target.name}")
            if path.is_file():
                self.durable.add(target / path.relative_to(source))
        self._folders[_inode(target.parent.stat())] = target.parent

    def end(self) -> None:
        self.problems += [f"{at} is not flushed at the end" for at in self._folders.values()]


def _inode(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino


def _state(status: os.stat_result) -> _Stamp:
    return (0, 0) if status.st_mode & 0o40000 else (status.st_size, status.st_mtime_ns)


@contextmanager
def recorded_flushes() -> Iterator[Flushes]:
    """Record flushes and renames of this process, those in native code left out: a file's state is compared instead."""
    record = Flushes()
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def flush(descriptor: int) -> None:
        fsync(descriptor)
        record.flush(os.fstat(descriptor))

    def moving(real: Any) -> Any:
        def move(source: Any, target: Any, **more: Any) -> None:
            record.rename(Path(source), Path(target))
            real(source, target, **more)

        return move

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        patch.setattr(os, "replace", moving(replace))
        patch.setattr(os, "rename", moving(rename))
        yield record
    record.end()
