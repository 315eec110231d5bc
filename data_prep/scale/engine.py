"""Where work is done. An engine applies a function to items and gives the results back in the items' order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from data_prep.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

ENGINES = ("processes", "ray")
IN_FLIGHT_PER_WORKER = 4  # items begun or done but not yet taken, so that memory does not grow with the job
DEATHS_ALLOWED = 3  # of workers at one and the same item, before it is held to be the item's fault


class Engine(Protocol):
    """Applies a function to items, somewhere.

    The function must give equal results for equal items wherever it runs, as an item whose worker died is done
    again. So the number of workers never shows in the results.
    """

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """Results in the order of the items, each as soon as it and all before it are there.

        Closing the iterator, or an exception in ``work``, ends the workers.

        Raises:
            InputError: an item whose worker died three times.
        """
        ...


class InProcess:
    """One item after the other, here."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """See :class:`Engine`."""
        return (work(item) for item in items)


def create_engine(name: str = "processes", workers: int | None = None) -> Engine:
    """Make an engine.

    Args:
        name: ``processes`` (this machine) or ``ray`` (a cluster; extra ``ray``).
        workers: how many items are worked on at once. Default: one, in this process, for ``processes``; all
            processors of the cluster for ``ray``.

    Raises:
        InputError: unknown name, an impossible number, or ray is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"{name!r} is unknown", field="engine", fix=f"use one of {', '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise InputError(f"is {workers}", field="workers", fix="give 1 or more")
    if name == "ray":
        from data_prep.scale.ray_cluster import RayCluster

        return RayCluster(workers)
    if workers is None or workers == 1:
        return InProcess()
    from data_prep.scale.processes import Processes

    return Processes(workers)


def item_keeps_dying(item: object, how: str) -> InputError:
    """What to say of an item whose workers die."""
    return InputError(
        f"the worker that had it died {DEATHS_ALLOWED} times ({how})",
        source=str(item),
        fix="use fewer workers or give them more memory, and run the same again: it will continue; if it is this "
        "item alone, leave it out",
    )
