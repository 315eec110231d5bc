"""Optional dependencies: one line that says what to install."""

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
        broken = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise InputError(
            f"needs {module.partition('.')[0]}, which is not installed{broken}",
            source=needed_for,
            fix=f"pip install 'clip2[{extra}]'",
        ) from error
