"""Limits of a server, and the refusals of requests beyond them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from data_prep.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Limits of a server; each is a positive number, ``max_maps`` may be 0."""

    max_mb: float = 64.0
    """Largest body of a request, megabytes."""
    max_points: int = 2_000_000
    """Most points of a request, and most pixels of an image."""
    max_objects: int = 1000
    """Most clouds per request, and most objects per answer."""
    seconds: float = 60.0
    """Longest time to send a request, and longest time to answer it."""
    concurrent: int = os.cpu_count() or 1
    """Scans that are recognized at the same time."""
    max_maps: int = 16
    """Live maps at the same time; 0, as always with several workers: none, since each process would have its own."""
    queue: int = 128
    """Requests that may wait; further ones get 503 with Retry-After."""

    def check(self) -> None:
        """Check that each limit is positive.

        Raises:
            InputError: one is not.
        """
        for name in (field.name for field in fields(self)):
            if not getattr(self, name) > 0 and (name, getattr(self, name)) != ("max_maps", 0):
                raise InputError(f"is {getattr(self, name)}", field=name, fix="give a number above 0")

    @property
    def max_bytes(self) -> int:
        """Largest body, bytes."""
        return int(self.max_mb * 1e6)

    @property
    def max_json_bytes(self) -> int:
        """Largest JSON body, bytes: Python needs ten times the memory for lists of numbers."""
        return self.max_bytes // 4

    @property
    def bytes_in_flight(self) -> int:
        """Most bytes of all bodies together: uploads beyond them get 503."""
        return 8 * self.max_bytes


class Refusal(Exception):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        message: one line for the client.
        reason: short name for the metrics.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, message: str, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


class ClientGoneError(Exception):
    """The client closed its connection before the answer."""
