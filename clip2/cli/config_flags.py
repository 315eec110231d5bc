"""Command-line flags made from a configuration class, like ``--lift.min-points`` for ``lift.min_points``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, make_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import docstring_parser
import tyro

from data_prep.config import TypedConfig, is_subclass, parse_config

C = TypeVar("C", bound=TypedConfig)
_METAVARS = {int: "INT", float: "FLOAT", str: "STR", bool: "{True,False}"}


@dataclass
class ConfigOptions:
    """Configuration file and changes to it."""

    config: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """YAML file with the configuration, or the manifest.json of a set to repeat; flags and --set override it."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="KEY=VALUE")] = ()
    """A change to the configuration, like lift.min_points=20; may be repeated. Flags override it."""


@cache
def flags_of(kind: type[TypedConfig], prefix: str = "") -> type:
    """Dataclass with one field per number, string, switch or choice of a configuration and of those nested in it.

    A field is None if its flag is not given, so that only typed flags override a configuration file. The field
    ``enabled`` of a nested configuration is the flag named after that configuration. Fields of other types get no flag.

    Args:
        kind: the configuration's class; its docstring's ``Attributes`` are the help texts.
        prefix: dotted path of the configuration, ending in a dot.
    """
    told = {
        one.arg_name: one.description
        for base in reversed(kind.__mro__[: kind.__mro__.index(TypedConfig)])
        for one in docstring_parser.parse(base.__doc__ or "").params
    }
    flags: list[tuple[str, Any, Field[Any]]] = []
    for name, about in kind.model_fields.items():
        annotation = about.annotation
        if is_subclass(annotation, TypedConfig):
            nested = flags_of(annotation, f"{prefix}{name}.")
            flags.append((name, nested, field(default_factory=nested)))
            continue
        help_text = (told.get(name) or "").replace("``", "")
        if name == "enabled" and prefix:
            switch = tyro.conf.arg(name=prefix[:-1].replace("_", "-"), prefix_name=False, help=help_text)
            flags.append((name, Annotated[bool, switch], field(default=False)))  # type: ignore[arg-type]
            continue
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        if annotation not in _METAVARS and not choices:
            continue
        shown = tyro.conf.arg(
            name=f"{prefix}{name}".replace("_", "-"),
            prefix_name=False,
            metavar=f"{{{','.join(map(str, choices))}}}" if choices else _METAVARS[annotation],  # type: ignore[index]
            help=help_text,
            help_behavior_hint=f"(default: {about.default})",
        )
        flags.append((name, Annotated[annotation | None, shown], field(default=None)))  # type: ignore[operator, arg-type]
    made = make_dataclass(f"{kind.__name__}Flags", flags)
    made.__doc__ = (kind.__doc__ or "").partition("\n")[0].replace("``", "")
    return made


def given(flags: Any) -> dict[str, Any]:
    """Nested mapping of the flags that were typed."""
    values: dict[str, Any] = {}
    for one in fields(flags):
        value = getattr(flags, one.name)
        if hasattr(value, "__dataclass_fields__"):
            value = given(value) or None
        if value is not None and not (one.name == "enabled" and value is False):
            values[one.name] = value
    return values


def with_flags(config: C, typed: Mapping[str, Any]) -> C:
    """The configuration changed by flags.

    Args:
        config: read from a file or ``--set``, or the defaults.
        typed: nested mapping, as :func:`given` returns it.

    Raises:
        InputError: a value is invalid; the error names its key.
    """
    return parse_config(type(config), _merged(config, typed), source="options")


def _merged(config: TypedConfig, typed: Mapping[str, Any]) -> dict[str, Any]:
    values = config.model_dump()
    for name, value in typed.items():
        nested = getattr(config, name)
        values[name] = _merged(nested, value) if isinstance(nested, TypedConfig) else value
    return values
