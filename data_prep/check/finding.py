"""Finding: the outcome of one check, with its numbers and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: name of the check: ``poses``, ``depth``, ``up`` …
        severity: ``ok``; ``warning``: worth a look; ``error``: anything mined from this scan will be wrong.
        message: one sentence with the numbers.
        values: the numbers by name, meters, seconds or shares.
        fix: advice; empty if all is well.
    """

    check: str
    severity: Severity
    message: str
    values: Mapping[str, float] = field(default_factory=dict)
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "message": self.message,
            "values": {key: round(float(value), 6) for key, value in self.values.items()},
            "fix": self.fix,
        }
