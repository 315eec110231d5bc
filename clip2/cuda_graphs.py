"""CUDA graphs for inference: one launch instead of a hundred kernels per forward pass.

Few objects keep a GPU busy for less time than it takes to start their kernels one by one. A graph starts them all at
once, but knows only the shapes and addresses it was recorded with: batches are filled up to a power of two and copied to
where the graph reads them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import clip2.ops.registry as registry
from clip2.preprocessing import PreparedClouds

Outputs = tuple[Tensor, ...]
Infer = Callable[[PreparedClouds], Outputs]
Record = Callable[[Callable[[], Outputs]], tuple[Outputs, Callable[[], None]]]

LARGEST_BATCH = 128  # most clouds of a graph; larger batches keep a GPU busy without one
_SEARCHES = (
    "farthest_point_sample",
    "ball_query",
    "knn",
)  # in pure torch they read a count back from the GPU
_log = logging.getLogger(__name__)


def why_no_graphs(device: torch.device | None = None) -> str | None:
    """Why inference on ``device`` (None: the GPU, if there is one) is not recorded as graphs; None when it is."""
    if device is not None and device.type != "cuda":
        return f"the model is on {device.type}"
    if not torch.cuda.is_available():
        return "no CUDA device"
    waiting = [op for op in _SEARCHES if registry.serving(op, "cuda") != "triton"]
    return f"{', '.join(waiting)} not served by triton" if waiting else None


class GraphedInference:
    """Runs inference, from the second time that a size of batch is met as a CUDA graph.

    The first time runs as ever, which compiles what has to be compiled; so nothing is recorded for a size that never
    comes back. Weights may change in place, as an optimizer or `load_state_dict` change them; after they have moved
    everything is recorded anew. Copies of a model start without graphs. Calls from several threads take turns.

    Args:
        record: turns work into (its outputs, what runs it again into the same outputs); None: a CUDA graph, where one
            can be recorded.
    """

    def __init__(self, record: Record | None = None) -> None:
        self._record = record
        self._lock = Lock()
        self._graphs: dict[_Key, _Graph | None] = {}  # None: met once
        self._weights: tuple[int, ...] = ()
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None
        self._problem: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphedInference, (self._record,)

    def __call__(self, module: nn.Module, infer: Infer, batch: PreparedClouds) -> Outputs:
        """``infer(batch)``, which uses the weights of ``module``, is in eval mode and does not wait for the GPU.

        Args:
            batch: B clouds, on any device.
            infer: gives tensors with B rows each, row b made from cloud b alone; no gradients.

        Returns:
            The tensors, on the device of the weights; they are the caller's.
        """
        device = next(module.parameters()).device
        size = _bucket(len(batch.points))
        if not len(batch.points) or size > LARGEST_BATCH or self._hinders(device):
            return infer(batch.to(device))
        with self._lock:
            weights = tuple(t.data_ptr() for t in chain(module.parameters(), module.buffers()))
            if weights != self._weights:
                self._graphs.clear()
                self._weights, self._pool = weights, None
            self._follow(device)
            key = _Key.of(batch, size, device)
            if key not in self._graphs:
                self._graphs[key] = None
                return infer(batch.to(device))
            graph = self._graphs[key]
            if graph is None:
                graph = self._graphs[key] = self._recorded(infer, batch, size, device)
            if graph is None:
                return infer(batch.to(device))
            return graph.run(batch)

    def __len__(self) -> int:
        """How many graphs there are."""
        return sum(graph is not None for graph in self._graphs.values())

    def _hinders(self, device: torch.device) -> bool:
        if self._record is not None:
            return False
        problem = self._problem or why_no_graphs(device)
        if problem:
            _log.debug("no CUDA graphs: %s", problem)
        return problem is not None

    def _follow(self, device: torch.device) -> None:
        """A caller on another stream waits for the previous one: all use the same buffers."""
        if device.type == "cuda":
            stream = torch.cuda.current_stream(device)
            if self._stream is not None and stream != self._stream:
                stream.wait_stream(self._stream)
            self._stream = stream

    def _recorded(
        self, infer: Infer, batch: PreparedClouds, size: int, device: torch.device
    ) -> _Graph | None:
        fixed = _filled_up(batch, size).to(device)
        # `to` gives back what is there already, and the caller may write to that.
        fixed = PreparedClouds(*(None if part is None else part.clone() for part in fixed))  # type: ignore[arg-type]

        def work() -> Outputs:
            return infer(fixed)

        if self._record is not None:
            return _Graph(fixed, *self._record(work))
        try:
            return _Graph(fixed, *self._cuda_graph(work, device))
        except RuntimeError as error:  # what CUDA cannot record, and too little memory
            self._problem = f"recording failed: {str(error).splitlines()[0]}"
            _log.warning("inference runs without CUDA graphs; %s", self._problem)
            return None

    def _cuda_graph(
        self, work: Callable[[], Outputs], device: torch.device
    ) -> tuple[Outputs, Callable[[], None]]:
        # The graph would read weights cached by autocast after they are freed.
        kept = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)
        try:
            with torch.cuda.device(device):
                stream = torch.cuda.Stream()
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    work()
                torch.cuda.current_stream().wait_stream(stream)
                if self._pool is None:
                    self._pool = torch.cuda.graph_pool_handle()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=self._pool):
                    outputs = work()
        finally:
            torch.set_autocast_cache_enabled(kept)
        return outputs, graph.replay


class _Key(NamedTuple):
    """Key of a graph: the inputs and settings that it depends on."""

    size: int
    shapes: tuple[tuple[int, ...] | None, ...]
    device: torch.device
    autocast: torch.dtype | None

    @staticmethod
    def of(batch: PreparedClouds, size: int, device: torch.device) -> _Key:
        shapes = tuple(None if part is None else tuple(part.shape[1:]) for part in batch)
        low = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
        return _Key(size, shapes, device, low)


class _Graph:
    """A recorded graph: its input and output buffers and its replay function."""

    def __init__(self, inputs: PreparedClouds, outputs: Outputs, replay: Callable[[], None]) -> None:
        self.inputs, self.outputs, self._replay = inputs, outputs, replay

    def run(self, batch: PreparedClouds) -> Outputs:
        """Outputs of ``batch`` as new tensors; those of the graph are overwritten by the next one."""
        count = len(batch.points)
        for fixed, part in zip(self.inputs, batch, strict=True):
            if fixed is not None:
                assert part is not None
                fixed[:count].copy_(part)
        self._replay()
        return tuple(output[:count].clone() for output in self.outputs)


def _bucket(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


def _filled_up(batch: PreparedClouds, size: int) -> PreparedClouds:
    """Copies of the first cloud after the batch: their results are never read, but must be finite."""
    more = size - len(batch.points)
    return PreparedClouds(
        *(
            None if part is None else torch.cat([part, part[:1].expand(more, *part.shape[1:])])
            for part in batch
        )  # type: ignore[arg-type]
    )
