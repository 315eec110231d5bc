"""Engine on a Ray cluster (https://docs.ray.io), started with ``ray start`` or locally for one job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any
from uuid import uuid4

from data_prep.scale.engine import (
    DEATHS_ALLOWED,
    ENGINES,
    IN_FLIGHT_PER_WORKER,
    Item,
    Result,
    item_keeps_dying,
)
from data_prep.storage.extras import require_extra


@ENGINES.register("ray")
class RayCluster:
    """Maps over the processes of a Ray cluster; nodes may come and go.

    Uses the cluster that this process is connected to, else the one of ``RAY_ADDRESS``, else a local one that ends
    with the job. All nodes must see files under the same paths.

    Args:
        workers: items processed at once; None: the cluster's processors.

    Raises:
        InputError: ray is not installed.
    """

    def __init__(self, workers: int | None = None) -> None:
        _require_ray()
        self.workers = workers

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
        """See :class:`~data_prep.scale.engine.Engine`."""
        ray = _require_ray()
        ours = not ray.is_initialized()
        if ours:
            ray.init(configure_logging=False, log_to_driver=False, include_dashboard=False)
        flying: deque[tuple[Item, Any]] = deque()
        try:
            # Each process of the cluster fetches the function once. A worker that died is replaced by Ray.
            task = ray.remote(max_retries=DEATHS_ALLOWED - 1, num_cpus=1)(_apply)
            shared, name = [ray.put(work)], uuid4().hex
            window = IN_FLIGHT_PER_WORKER * (
                self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            )
            for item in items:
                flying.append((item, task.remote(name, shared, item)))
                if len(flying) == window:
                    yield self._take(*flying.popleft())
            while flying:
                yield self._take(*flying.popleft())
        finally:
            for _, reference in flying:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _take(self, item: Any, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Exception) else error from None
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,  # Ray's own watch ends workers before the system does
            ray.exceptions.NodeDiedError,
        ) as error:
            raise item_keeps_dying(item, type(error).__name__) from error


_FUNCTIONS: dict[str, Callable] = {}  # of this process of the cluster: the function of the latest job


def _apply(name: str, shared: list, item: Any) -> Any:
    import ray

    if name not in _FUNCTIONS:
        _FUNCTIONS.clear()
        _FUNCTIONS[name] = ray.get(shared[0])
    return _FUNCTIONS[name](item)


def _require_ray() -> Any:
    return require_extra("ray", "ray", needed_for="engine ray")
