"""Early checks of output files: writable, and not an input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError
from data_prep.storage.files import require_writable


def require_outputs(files: Sequence[Path], inputs: Sequence[Path], field: str) -> None:
    """Reject output files that cannot be written or would replace an input.

    Args:
        files: to be written.
        inputs: files that are read; the contents of a folder among them are not checked.
        field: the option that names the output.

    Raises:
        InputError: a file is an input, or a folder, or given twice; or its folder cannot be written to.
    """
    for number, file in enumerate(files):
        if any(_same(file, other) for other in inputs):
            raise InputError(
                "would be overwritten, but it is an input",
                source=file,
                field=field,
                fix="choose another name, like result.json",
            )
        if any(_same(file, other) for other in files[:number]):
            raise InputError(
                "would be written twice", source=file, field=field, fix="choose a name that ends in .json"
            )
        if file.is_dir():
            raise InputError("is a folder", source=file, field=field, fix="give the name of a file")
        require_writable(file.parent, field)


def _same(a: Path, b: Path) -> bool:
    # By file, not by name: file systems differ in whether A.ply is a.ply.
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))
