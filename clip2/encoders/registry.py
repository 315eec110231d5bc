"""Encoders by name: `@register_encoder` on a function named like the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

from clip2.encoders.encoder import PointEncoder

Factory = TypeVar("Factory", bound=Callable[..., PointEncoder])

_FACTORIES: dict[str, Callable[..., PointEncoder]] = {}


def create_encoder(name: str, **config: Any) -> PointEncoder:
    """Build an encoder with freshly initialized weights.

    Args:
        name: one of `list_encoders()`.
        config: keyword arguments of the function of that name; every encoder takes ``feature_channels``.

    Raises:
        ValueError: the name or a config key is unknown, or a value is impossible; the message names it.

    >>> create_encoder("pointnet2_ssg", feature_channels=0).width
    1024
    """
    if name not in _FACTORIES:
        raise ValueError(
            f"no encoder {name!r}{_nearest(name, list_encoders())}; list_encoders() names them all"
        )
    allowed = encoder_options(name)
    for key in config:
        if key not in allowed:
            raise ValueError(
                f"encoder {name} has no option {key!r}{_nearest(key, allowed)}; it takes {', '.join(allowed)}"
            )
    return _FACTORIES[name](**config)


def list_encoders() -> list[str]:
    """Names of all registered encoders, sorted."""
    return sorted(_FACTORIES)


def encoder_options(name: str) -> dict[str, Any]:
    """Config keys of the encoder ``name`` with their defaults."""
    parameters = inspect.signature(_FACTORIES[name]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def register_encoder(factory: Factory) -> Factory:
    """Decorator: make ``create_encoder(factory.__name__, ...)`` call ``factory``."""
    _FACTORIES[factory.__name__] = factory
    return factory


def _nearest(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
