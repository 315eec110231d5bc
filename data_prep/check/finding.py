"""One thing that was measured, what it says, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: what was checked: ``poses``, ``depth``, ``up`` …
        severity: ``ok``; ``warning``: look at it; ``error``: nothing mined from this will be right.
        message: one sentence with the number in it.
        values: the numbers by name, meters, seconds or shares.
        fix: what to do; empty where all is well.
    """

    check: str
    severity: Severity
    message: str
    values: Mapping[str, float] = field(default_factory=dict)
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "check": self.check,
            "severity": self.severity,
            "message": self.message,
            "values": {key: round(float(value), 6) for key, value in self.values.items()},
            "fix": self.fix,
        }
