"""Output of a benchmark's figures: one JSON object, or its own tables."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from typing import Any


def emit(result: dict[str, Any], json: bool, show: Callable[[dict[str, Any]], None]) -> int:
    """Print figures as JSON or by ``show``; returns exit code 0."""
    if json:
        print(json_format.dumps(result, indent=2))
    else:
        show(result)
    return 0
