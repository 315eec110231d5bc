"""Live maps of a server: one :class:`~clip2.ObjectMap` per name, in the memory of this process."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clip2.mapping import ObjectMap
from clip2.object_model import ObjectModel
from clip2.server.engine import without_arrays
from clip2.server.gate import Gate
from clip2.server.limits import Refusal
from clip2.teacher.text_source import TextSource
from data_prep.errors import InputError
from data_prep.scans import Frame

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class _LiveMap:
    """A map, the order of its frames, and a lock that holds even when a client leaves in the middle of one."""

    map: ObjectMap
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    lock: threading.Lock = field(default_factory=threading.Lock)


class LiveMaps:
    """Maps by name. The first frame of a name makes its map.

    Args:
        model, text: as for :class:`~clip2.ObjectMap`.
        labels: that updates are named by.
        gate: whose threads do the work.
        most: maps at the same time.
    """

    def __init__(
        self, model: ObjectModel, text: TextSource | None, labels: str | None, gate: Gate, most: int
    ) -> None:
        self._model, self._text, self._labels, self._gate, self._most = model, text, labels, gate, most
        self._maps: dict[str, _LiveMap] = {}

    def names(self) -> list[str]:
        """Names of the maps."""
        return sorted(self._maps)

    async def update(self, name: str, frame: Frame, brief: bool) -> dict[str, Any]:
        """Take a frame into a map, after those that came before it.

        Raises:
            InputError: a name with other characters, a frame that does not fit the map.
            Refusal: too many maps.
        """
        self._require_maps()
        live = self._maps.get(name) or self._new(name)
        async with live.turn:
            return await self._gate.heavy(self._update, live, frame, brief)

    async def objects(self, name: str, labels: str | None, threshold: float, brief: bool) -> dict[str, Any]:
        """The objects of a map by any labels.

        Raises:
            InputError: labels without vectors.
            Refusal: no such map.
        """
        live = self._require(name)
        return await self._gate.light(self._objects, live, labels, threshold, brief)

    def drop(self, name: str) -> None:
        """Forget a map.

        Raises:
            Refusal: no such map.
        """
        self._require(name)
        del self._maps[name]

    def _new(self, name: str) -> _LiveMap:
        if not _NAME.fullmatch(name):
            raise InputError(f"is {name[:80]!r}", field="map", fix="use letters, digits, . _ -")
        if len(self._maps) >= self._most:
            raise Refusal(409, f"there are {self._most} maps, delete one before", "maps")
        live = self._maps[name] = _LiveMap(ObjectMap(self._model, self._labels, self._text))
        return live

    def _require_maps(self) -> None:
        if self._most == 0:
            raise Refusal(501, "this server keeps no maps: each of its processes would have its own", "maps")

    def _require(self, name: str) -> _LiveMap:
        self._require_maps()
        if name not in self._maps:
            raise Refusal(404, f"there is no map {name[:80]!r}", "no map")
        return self._maps[name]

    @staticmethod
    def _update(live: _LiveMap, frame: Frame, brief: bool) -> dict[str, Any]:
        with live.lock:
            update = live.map.update(frame)
            frames, notes = live.map.frames, list(live.map.notes)
        document = without_arrays(update.to_json()) if brief else update.to_json()
        changes: dict[str, Sequence[int]] = {
            "new": list(update.new), "changed": list(update.changed), "lost": list(update.lost)
        }  # fmt: skip
        return {**document, **changes, "frames": frames, "notes": notes}

    @staticmethod
    def _objects(live: _LiveMap, labels: str | None, threshold: float, brief: bool) -> dict[str, Any]:
        with live.lock:
            found = live.map.query(labels, threshold)
        return without_arrays(found.to_json()) if brief else found.to_json()
