"""Optional dependencies: a missing one raises one line with the pip command."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from data_prep.errors import InputError


def require_extra(module: str, extra: str, *, needed_for: str | None = None) -> Any:
    """Import an optional dependency.

    Args:
        module: name to import, for example ``laspy``.
        extra: the extra of this project that installs it.
        needed_for: what the user asked for, for the error line.

    Returns:
        The module.

    Raises:
        InputError: it is not installed, or cannot be loaded; the fix is the pip command.
    """
    try:
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        why = "which is not installed" if absent else f"which cannot be loaded ({error})"
        raise InputError(
            f"needs {module.partition('.')[0]}, {why}",
            source=needed_for,
            fix=f"pip install 'clip2[{extra}]'",
        ) from error
