"""Large buffers kept between training steps on a CPU."""

from __future__ import annotations

from threading import Lock

from torch import Tensor


class ScratchPool:
    """Flat buffers handed out and taken back.

    The C library returns large blocks to the system at once, and fresh ones cost a page fault per 4 KB: for
    activations used once per step that is more time than the arithmetic on them. On other devices torch's own
    allocator already keeps memory, and the pool only allocates.
    """

    def __init__(self, kept: int = 8) -> None:
        self._kept = kept
        self._free: list[Tensor] = []
        self._lock = Lock()

    def take(self, elements: int, like: Tensor) -> Tensor:
        """A flat buffer of at least so many elements, with the dtype and device of ``like``; contents arbitrary."""
        if like.device.type != "cpu":
            return like.new_empty(elements)
        with self._lock:
            for place, buffer in enumerate(self._free):
                if buffer.dtype == like.dtype and buffer.numel() >= elements:
                    return self._free.pop(place)
        # Batches differ a little in size; a quarter to spare lets one buffer serve them all.
        return like.new_empty(elements + elements // 4)

    def give(self, *buffers: Tensor) -> None:
        """Hand buffers back; the giver must not touch them any more."""
        with self._lock:
            self._free.extend(buffer for buffer in buffers if buffer.device.type == "cpu")
            self._free.sort(key=lambda buffer: buffer.numel())  # so that `take` finds the smallest that fits
            del self._free[: -self._kept]
