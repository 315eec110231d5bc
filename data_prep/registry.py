"""Registry of named parts: sources, lifters, encoders, categories."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from data_prep.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name, registered by a decorator; a wrong name raises one line that lists the right ones.

    Args:
        kind: what the objects are, for error messages ("source", "encoder").
        modules: name → module that registers it, imported when the name is first asked for. A missing optional
            dependency then affects that name alone.

    >>> shapes = Registry[type]("shape")
    >>> @shapes.register("ball")
    ... class Ball: ...
    >>> shapes["ball"] is Ball, list(shapes)
    (True, ['ball'])
    """

    def __init__(self, kind: str, modules: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._modules = dict(modules or {})
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds an object under ``name``."""

        def add(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        """The object called ``name``.

        Raises:
            InputError: there is none.
        """
        if name not in self._entries and name in self._modules:
            import_module(self._modules[name])
        if name not in self._entries:
            near = difflib.get_close_matches(str(name), list(self), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"{name!r} is unknown", field=self.kind, fix=f"{hint}use one of {', '.join(self)}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._modules

    def __iter__(self) -> Iterator[str]:
        """All names, sorted."""
        return iter(sorted({*self._entries, *self._modules}))
