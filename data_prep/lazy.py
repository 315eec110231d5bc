"""Lazy package exports: public names that are imported on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` for a package that loads its public names on demand.

    A command-line help page or a robot that only reads results then never imports torch.

    Args:
        package: the package's ``__name__``.
        modules: public name → module that defines it under the same name.

    >>> get, names, exported = lazy_exports("data_prep", {"Camera": "data_prep.geometry.camera"})
    >>> get("Camera").__module__, exported
    ('data_prep.geometry.camera', ['Camera'])
    """

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        special = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*special, *modules})

    return __getattr__, __dir__, list(modules)
