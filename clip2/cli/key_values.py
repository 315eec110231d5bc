"""``--option key=value``: options of a scan's reader, typed by the reader's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from data_prep.errors import InputError
from data_prep.scans.sources import find_opener

_OPTION = "--option"


def reader_options(source: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Read the options of a scan's reader.

    Args:
        source: name of the reader.
        pairs: ``key=value`` each.

    Raises:
        InputError: an unknown source, or as :func:`typed_options`.

    >>> reader_options("kitti-tracking", ["split=testing", "sequences=0001,0004"])
    {'split': 'testing', 'sequences': ['0001', '0004']}
    """
    return typed_options(pairs, parameter_types(find_opener(source)), source)


def typed_options(pairs: Sequence[str], wanted: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Convert ``key=value`` pairs to the wanted types. Commas separate the items of a sequence.

    Args:
        pairs: as typed.
        wanted: name → type annotation.
        owner: name of the reader, for errors.

    Raises:
        InputError: no ``=``, an unknown or repeated key, a value of another type.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise InputError(f"{pair!r} has no '='", source=_OPTION, fix=f"write {_OPTION} key=value")
        key = key.replace("-", "_")
        if key not in wanted:
            known = ", ".join(sorted(wanted)) or "none: it takes no options"
            raise InputError(f"{key!r} is not an option of {owner}", source=_OPTION, fix=f"known: {known}")
        if key in values:
            raise InputError("is given twice", source=_OPTION, field=key)
        values[key] = _convert(text, wanted[key], f"{_OPTION} {key}")
    return values


def parameter_types(function: Callable[..., object]) -> dict[str, Any]:
    """Name → type of the parameters that can be given by name, except the first (the root of a scan)."""
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return {name: hints.get(name, str) for name in names[1:]}


def _convert(text: str, annotation: Any, field: str) -> Any:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    value: Any = text
    # A lone 0001 stays text if text is wanted.
    if any(map(_is_sequence, kinds)) and ("," in text or str not in kinds):
        value = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise InputError(f"{text!r}: {message[0].lower()}{message[1:]}", source=field) from None


def _is_sequence(kind: Any) -> bool:
    return isinstance(origin := get_origin(kind), type) and issubclass(origin, Sequence)
