"""Input errors: one line that names the file, the field and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Kind = TypeVar("Kind", bound="InputError")


# The user and password of an address.
_SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LONGEST_SOURCE, _LONGEST_FIELD, _LONGEST_PROBLEM = 500, 100, 400


def printable(text: str) -> str:
    """``text`` with every control character but the line feed written as its escape, safe for a terminal.

    >>> printable("mug" + chr(27) + "]0;gone")
    'mug\\\\x1b]0;gone'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def without_secret(text: str) -> str:
    """``text`` without the user and password of its addresses; a manifest travels, and so do logs.

    >>> without_secret("sftp://me:secret@robot/data: cannot be read")
    'sftp://…@robot/data: cannot be read'
    """
    return _SECRET.sub("…", text)


def _clip(text: str, most: int) -> str:
    """Files are quoted back to their reader, and some lines of theirs are megabytes long."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 4 :]}"


class InputError(ValueError):
    """Something given to us is wrong; the message is one line fit for a terminal.

    Args:
        problem: what is wrong, in words, with the offending value.
        source: the file, folder or argument it was found in.
        field: the key, column, line or array inside ``source``.
        fix: what the reader should do.

    >>> str(InputError("is not a rotation (det -1.00)", source="calib/000007.txt", field="R0_rect",
    ...                fix="check the row order"))
    'calib/000007.txt: R0_rect: is not a rotation (det -1.00). Fix: check the row order'
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | Path | None = None,
        field: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.source, self.field, self.fix = problem, source, field, fix
        limits = (_LONGEST_SOURCE, _LONGEST_FIELD)
        where = "".join(
            f"{_clip(str(part), most)}: "
            for part, most in zip((source, field), limits, strict=True)
            if part is not None
        )
        advice = f". Fix: {_clip(fix, _LONGEST_PROBLEM)}" if fix else ""
        line = " ".join(f"{where}{_clip(problem, _LONGEST_PROBLEM)}{advice}".split())
        super().__init__(printable(without_secret(line)))

    def as_kind(
        self,
        kind: type[Kind],
        *,
        source: str | Path | None = None,
        field: str | None = None,
        fix: str | None = None,
    ) -> Kind:
        """The same complaint as an error of another kind; the arguments fill in what it does not name."""
        return kind(
            self.problem, source=self.source or source, field=self.field or field, fix=self.fix or fix
        )

    def __reduce__(self) -> tuple:  # keyword-only arguments do not survive default exception pickling
        return _rebuild, (type(self), self.problem, self.source, self.field, self.fix)


class BadFrameError(InputError):
    """One frame cannot be used. Long jobs count it, name it and go on.

    >>> raise BadFrameError("has no points", source="velodyne/000007.bin", fix="copy the file again")
    Traceback (most recent call last):
    data_prep.errors.BadFrameError: velodyne/000007.bin: has no points. Fix: copy the file again
    """


class BadDatasetError(InputError):
    """The dataset as a whole cannot be used. Jobs stop before they start.

    >>> raise BadDatasetError("has no images", source="scan/", fix="give the folder above color/")
    Traceback (most recent call last):
    data_prep.errors.BadDatasetError: scan/: has no images. Fix: give the folder above color/
    """


@contextmanager
def shared_by_all_frames(source: str | Path | None = None, fix: str | None = None) -> Iterator[None]:
    """Inside, an input error becomes a :class:`BadDatasetError`: it is about something that every frame needs.

    Args:
        source: the file or folder to name where the error names none.
        fix: the advice to give where the error gives none.
    """
    try:
        yield
    except BadDatasetError:
        raise
    except InputError as error:
        raise error.as_kind(BadDatasetError, source=source, fix=fix) from error


def _rebuild(cls: type[InputError], problem: str, source: str, field: str, fix: str) -> InputError:
    return cls(problem, source=source, field=field, fix=fix)
