"""Registry of backends for point operations, with the reason for each choice.

An operation has one public function and one or more backends. Pure torch always works and is the oracle that the others
are tested against; a faster backend takes over only on the device kinds where it pays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

Kernel = Callable[..., Any]


@dataclass(frozen=True)
class Choice:
    """One row of `clip2 info`: ``backend`` serves ``op`` on ``device``, because of ``reason``."""

    op: str
    device: str
    backend: str
    reason: str


def backends() -> tuple[Choice, ...]:
    """For every operation and device kind present here: the backend that serves it and the reason."""
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    return tuple(_choose(op, device) for op in sorted(KERNELS) for device in devices)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within the block, serve every operation that ``name`` implements with it (parity tests, benchmarks).

    Raises:
        ValueError: there is no such backend, or it cannot run here; the message says why.
    """
    global _forced
    if name not in BACKENDS:
        raise ValueError(f"no backend {name!r} of point operations; there are {', '.join(BACKENDS)}")
    if problem := BACKENDS[name].problem():
        raise ValueError(f"backend {name!r} cannot run here: {problem}")
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


@contextmanager
def replaced_kernels(kernels: Mapping[str, Kernel]) -> Iterator[None]:
    """Within the block, serve each of these operations with its function, on every device (export of graphs)."""
    before = dict(_replaced)
    _replaced.update(kernels)
    try:
        yield
    finally:
        _replaced.clear()
        _replaced.update(before)


def register_backend(
    name: str,
    *,
    serves: tuple[str, ...],
    problem: Callable[[], str | None],
    reason: str | Callable[[], str],
) -> None:
    """Add a backend; later registrations are preferred over earlier ones on the device kinds they serve.

    Args:
        name: what `clip2 info` prints.
        serves: device kinds ("cpu", "cuda") on which it is chosen automatically.
        problem: returns why the backend cannot run here, or None when it can. Asked again at each choice.
        reason: why it is chosen on these devices; a function is called when the reason is shown.
    """
    BACKENDS[name] = _Backend(name, serves, problem, reason)


def implements(op: str, backend: str) -> Callable[[Kernel], Kernel]:
    """Decorator: the function is ``backend``'s kernel for ``op``; same arguments and results as the oracle's."""

    def add(kernel: Kernel) -> Kernel:
        KERNELS.setdefault(op, {})[backend] = kernel
        return kernel

    return add


def kernel(op: str, device: torch.device) -> Kernel:
    """The function that serves ``op`` for tensors on ``device``."""
    return _replaced[op] if op in _replaced else KERNELS[op][serving(op, device.type)]


def serving(op: str, device: str) -> str:
    """Name of the backend that serves ``op`` on a kind of device, "cpu" or "cuda"."""
    if _forced in KERNELS[op]:
        return _forced
    wanted = os.environ.get(_ENVIRONMENT)
    if wanted:
        if wanted not in BACKENDS:
            raise ValueError(f"{_ENVIRONMENT}={wanted}: no such backend; there are {', '.join(BACKENDS)}")
        if problem := BACKENDS[wanted].problem():
            raise ValueError(f"{_ENVIRONMENT}={wanted}: it cannot run here: {problem}")
        if wanted in KERNELS[op]:
            return wanted
    return next((b.name for b in _preferred(op, device) if not b.problem()), "torch")


def plain(op: str) -> Kernel:
    """The pure torch function of ``op``, to which a backend passes unsupported cases."""
    return KERNELS[op]["torch"]


@dataclass(frozen=True)
class _Backend:
    name: str
    serves: tuple[str, ...]
    problem: Callable[[], str | None]
    reason: str | Callable[[], str]


_ENVIRONMENT = "CLIP2_OPS_BACKEND"
BACKENDS: dict[str, _Backend] = {}  # by name, later ones preferred
KERNELS: dict[str, dict[str, Kernel]] = {}  # operation → backend → kernel
_forced: str | None = None
_replaced: dict[str, Kernel] = {}


def _choose(op: str, device: str) -> Choice:
    """The backend that serves ``op``, why, and why not the ones that would have been preferred."""
    name = serving(op, device)
    if name == _forced:
        return Choice(op, device, name, "asked for by use_backend")
    if name == os.environ.get(_ENVIRONMENT):
        return Choice(op, device, name, f"asked for by {_ENVIRONMENT}")
    passed_over = []
    for backend in _preferred(op, device):
        if backend.name == name:
            break
        passed_over.append(f"{backend.name}: {backend.problem()}")
    reason = BACKENDS[name].reason
    if name != "torch" or not passed_over:
        passed_over.insert(0, reason if isinstance(reason, str) else reason())
    return Choice(op, device, name, "; ".join(passed_over))


def _preferred(op: str, device: str) -> Iterator[_Backend]:
    """The backends that implement ``op`` on ``device``, best first, whether they can run or not."""
    for backend in reversed(BACKENDS.values()):
        if backend.name != "torch" and backend.name in KERNELS[op] and device in backend.serves:
            yield backend


register_backend("torch", serves=(), problem=lambda: None, reason="works everywhere")
