"""Engines that map a function over items: in this process, in worker processes, on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from data_prep.errors import InputError
from data_prep.registry import Registry

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 4  # items started or finished but not yet taken; bounds the memory of a long job
DEATHS_ALLOWED = 3  # of workers on the same item, before the item gets the blame


class Engine(Protocol):
    """Applies a function to items.

    The function must give equal results for equal items wherever it runs, because the item of a dead worker is
    repeated. The number of workers then never shows in the results.
    """

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """Results in the order of the items, each as soon as it and all before it are finished.

        Closing the iterator, or an exception in ``work``, ends the workers.

        Raises:
            InputError: an item whose worker died three times.
        """
        ...


ENGINES: Registry[Callable[[int | None], Engine]] = Registry(
    "engine", {"processes": "data_prep.scale.processes", "ray": "data_prep.scale.ray_cluster"}
)


class InProcess:
    """One item after the other, in this process."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """See :class:`Engine`."""
        return (work(item) for item in items)


def create_engine(name: str = "processes", workers: int | None = None) -> Engine:
    """Create an engine.

    Args:
        name: ``processes`` (this machine) or ``ray`` (a cluster; extra ``ray``).
        workers: number of items processed at once. Default: one, in this process, for ``processes``; all processors of
            the cluster for ``ray``.

    Raises:
        InputError: unknown name, an impossible number, or ray is not installed.
    """
    if workers is not None and workers < 1:
        raise InputError(f"is {workers}", field="workers", fix="give 1 or more")
    if name == "processes" and workers in (None, 1):
        return InProcess()
    return ENGINES[name](workers)


def item_keeps_dying(item: Any, how: str) -> InputError:
    """The error for an item whose workers keep dying."""
    return InputError(
        f"the worker that had it died {DEATHS_ALLOWED} times ({how})",
        source=str(item),
        fix="use fewer workers or give them more memory, and run the same again: it will continue; if only this "
        "item fails, leave it out",
    )
