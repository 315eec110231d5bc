"""``--option key=value``: text from the command line becomes what a function's signature asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from data_prep.errors import InputError
from data_prep.scans.sources import find_opener


def typed_options(
    pairs: Sequence[str], wanted: Mapping[str, Any], *, option: str, owner: str
) -> dict[str, Any]:
    """Read ``key=value`` pairs by the types that are wanted.

    Sequences are written with commas. ``0001`` stays a word where a word is wanted, and becomes 1 where a number is.

    Args:
        pairs: as typed.
        wanted: name → type annotation.
        option: the command line option, named in errors.
        owner: whose options these are, named in errors.

    Raises:
        InputError: no ``=``, an unknown or repeated key, a value of another type.

    >>> typed_options(["split=testing", "sequences=0001,0004"], {"split": str, "sequences": Sequence[str]},
    ...               option="--option", owner="kitti-tracking")
    {'split': 'testing', 'sequences': ['0001', '0004']}
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise InputError(f"{pair!r} has no '='", source=option, fix=f"write {option} key=value")
        key = key.replace("-", "_")
        if key not in wanted:
            known = ", ".join(sorted(wanted)) or "none: it takes no options"
            raise InputError(f"{key!r} is not an option of {owner}", source=option, fix=f"known: {known}")
        if key in values:
            raise InputError("is given twice", source=option, field=key)
        values[key] = _convert(text, wanted[key], f"{option} {key}")
    return values


def reader_options(source: str, given: Sequence[str]) -> dict[str, Any]:
    """What ``--option key=value`` gives the reader of a scan.

    Args:
        source: its name.
        given: ``key=value`` each.

    Raises:
        InputError: an unknown source, or as :func:`typed_options`.
    """
    return typed_options(given, parameter_types(find_opener(source)), option="--option", owner=source)


def parameter_types(function: Callable[..., object]) -> dict[str, Any]:
    """Name → type of the parameters that can be given by name, beyond the first (the root of a scan)."""
    target = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(target)
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return {name: hints.get(name, str) for name in names[1:]}


def _convert(text: str, annotation: Any, field: str) -> Any:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    value: Any = text
    if any(map(_is_sequence, kinds)) and ("," in text or str not in kinds):
        value = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise InputError(f"{text!r}: {message[0].lower()}{message[1:]}", source=field) from None


def _is_sequence(kind: Any) -> bool:
    return isinstance(origin := get_origin(kind), type) and issubclass(origin, Sequence)
