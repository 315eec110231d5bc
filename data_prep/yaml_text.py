"""Strict YAML: numbers as in YAML 1.2, no repeated keys, no aliases."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Content of a YAML text.

    Raises:
        ValueError: it is not YAML, repeats a key, is nested too deeply, or has an alias (a few lines of aliases of aliases
            fill any memory).

    >>> parse_yaml("lr: 1e-3")
    {'lr': 0.001}
    """
    try:
        return yaml.load(text, _StrictLoader)  # a SafeLoader  # nosec B506
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except (AttributeError, TypeError) as error:  # a tag on a value that it does not fit
        raise ValueError(f"has a value that does not fit its tag ({error})") from None


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as a number (YAML 1.2) and rejects repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                problem=f"alias {event.anchor!r} is not supported: repeat the value",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a key is not a name", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key.value!r} is repeated", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
