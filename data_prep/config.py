"""Typed configuration, read from YAML files and ``--set KEY=VALUE`` overrides."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from data_prep.errors import InputError
from data_prep.storage.reading import read_text

Config = TypeVar("Config", bound=BaseModel)
Kind = TypeVar("Kind")


class TypedConfig(BaseModel):
    """Base of every configuration: frozen, no unknown keys, no silent conversion of types, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def load_config(
    kind: type[Config],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    read: Callable[[str | Path], Any] | None = None,
) -> Config:
    """Configuration from a YAML file, changed by overrides.

    Args:
        kind: the configuration's class.
        path: YAML file; keys left out keep their defaults. None: all defaults.
        overrides: dotted keys and YAML values, like ``optimizer.lr=1e-3``; later ones win.
        read: reads the file; default: :func:`read_yaml`.

    Raises:
        InputError: the file cannot be read; or a key is unknown, has the wrong type or an impossible value. The
            error names the file or ``--set``, and the key.
    """
    from data_prep.yaml_text import parse_yaml

    values: Any = {}
    if path is not None:
        values = (read or read_yaml)(path)
        parse_config(kind, values, source=path)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{override!r} is not KEY=VALUE", source="--set", fix="like optimizer.lr=1e-3")
        try:
            value = parse_yaml(text)
        except ValueError:
            raise InputError(f"{text!r} is not a YAML value", source="--set", field=key) from None
        values = _with_value(values, key.strip().split("."), value)
    return parse_config(kind, values, source="--set" if overrides else path or "configuration")


def read_yaml(path: str | Path) -> Any:
    """Content of a YAML file; an empty file is ``{}``. ``1e-3`` is a number, as in YAML 1.2.

    Raises:
        InputError: the file does not exist, cannot be read, is not YAML or repeats a key.
    """
    from data_prep.yaml_text import parse_yaml  # a help page needs no YAML

    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError("does not exist", source=path, fix="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", source=path, fix="give a YAML file") from None
    try:
        return parse_yaml(text) or {}
    except ValueError as error:
        raise InputError(f"is not YAML ({error})", source=path) from None


def parse_config(kind: type[Config], values: object, source: str | Path) -> Config:
    """Checked configuration from what a YAML or JSON file held.

    Args:
        kind: the configuration's class.
        values: nested mapping, as a YAML or JSON reader returns it.
        source: the file's name, for the error line.

    Raises:
        InputError: naming the first offending key with its full dotted path, and how many more there are.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"holds {type(values).__name__}, not keys and values", source=source)
    try:
        return kind.model_validate(_tuples(values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = problems[0]
        path = [str(part) for part in first["loc"]]
        fix = None
        if first["type"] == "extra_forbidden":
            problem = "is not a known key"
            known = known_keys(kind, path[:-1])
            near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
            fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}" if known else None
        elif all(each["type"] == "missing" for each in problems):
            path = [", ".join(".".join(map(str, each["loc"])) for each in problems)]
            problem = "is missing" if len(problems) == 1 else "are missing"
            problems = problems[:1]
        elif first["type"] == "missing":
            problem = "is missing"
        else:
            problem = first["msg"].removeprefix("Value error, ")
            if not isinstance(first["input"], Mapping | TypedConfig):
                problem = f"{first['input']!r} is not possible: {problem[0].lower()}{problem[1:]}"
        if len(problems) > 1:
            problem += f" (and {len(problems) - 1} more)"
        raise InputError(problem, source=source, field=".".join(path) or None, fix=fix) from None


def known_keys(kind: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that ``kind`` allows under a dotted path."""
    for part in path:
        field = kind.model_fields.get(part)
        nested = _model_in(field.annotation) if field else None
        if nested is None:
            return []
        kind = nested
    return list(kind.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, UnionType):
        found = [_model_in(option) for option in get_args(annotation)]
        return next((option for option in found if option is not None), None)
    return annotation if is_subclass(annotation, BaseModel) else None


def is_subclass(annotation: Any, kind: type[Kind]) -> TypeGuard[type[Kind]]:
    """Whether an annotation is a class, and one of ``kind``; Python 3.10 takes ``tuple[int, ...]`` for a class, too.

    >>> is_subclass(bool, int), is_subclass(tuple[int, ...], int), is_subclass(int | None, int)
    (True, False, False)
    """
    return get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, kind)


def _tuples(value: Any) -> Any:
    """YAML and JSON have lists only; strict pydantic wants tuples where the type says tuple."""
    if isinstance(value, Mapping):
        return {str(key): _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _with_value(values: Any, path: list[str], value: Any) -> dict[str, Any]:
    copy = dict(values) if isinstance(values, dict) else {}
    copy[path[0]] = value if len(path) == 1 else _with_value(copy.get(path[0]), path[1:], value)
    return copy
