"""Traceable form of a model: point operations become nodes of the graph, or inputs that the caller computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import clip2.ops.registry as registry
from clip2.model import Clip2Model
from clip2.point_queries import farthest_point_sample
from clip2.preprocessing import MOST_POINTS, PreparedClouds
from clip2.runtime.description import IndexPlan, Query
from data_prep.errors import InputError


def index_plan(model: Clip2Model) -> IndexPlan:
    """The indices that a model's encoder asks for: one sample of centers, then neighborhoods of some of them.

    Raises:
        InputError: the encoder samples twice or searches other points than the cloud and its sample.
    """
    recorder = _Recorder()
    # More points than any encoder has centers, so that no number of centers is cut short.
    points = torch.rand(1, MOST_POINTS, 3, generator=torch.Generator().manual_seed(0))
    recorder.points = points
    with torch.no_grad(), registry.replaced_kernels(recorder.kernels()):
        model._infer(prepared(model, points, torch.tensor([MOST_POINTS])))
    return IndexPlan(samples=recorder.samples, queries=tuple(recorder.queries))


def prepared(
    model: Clip2Model,
    points: Tensor,
    lengths: Tensor,
    colors: Tensor | None = None,
    has_color: Tensor | None = None,
    radii: Tensor | None = None,
) -> PreparedClouds:
    """A batch with every part that the model takes; parts that are not given say that there is no color, or 1 meter."""
    if model.preprocessing.color and colors is None:
        colors, has_color = torch.zeros_like(points), torch.zeros(points.shape[0], dtype=torch.bool)
    if model.preprocessing.size and radii is None:
        radii = torch.ones(points.shape[0])
    return PreparedClouds(points, lengths, colors, has_color, radii)


class IndexedModel(nn.Module):
    """Model whose sample and neighborhoods are inputs: gathers, products and maxima are all that is left.

    Args:
        model: in eval mode, on the CPU.
        plan: of :func:`index_plan`.
    """

    def __init__(self, model: Clip2Model, plan: IndexPlan) -> None:
        super().__init__()
        self.model, self.plan = model, plan

    def forward(
        self,
        points: Tensor,
        lengths: Tensor,
        colors: Tensor | None,
        has_color: Tensor | None,
        radii: Tensor | None,
        indices: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """points (B, N, 3), lengths (B,), colors (B, N, 3), has_color (B,), radii (B,), and the indices of the plan."""
        given = iter(indices)

        def sample(points: Tensor, k: int, *_: Any) -> Tensor:
            return next(given)

        def ball(points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
            return next(given)

        def nearest(points: Tensor, centers: Tensor, k: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
            index = next(given)
            return index, index.to(points.dtype)  # no encoder reads the distances

        batch = prepared(self.model, points, lengths, colors, has_color, radii)
        with registry.replaced_kernels({"farthest_point_sample": sample, "ball_query": ball, "knn": nearest}):
            return self.model._infer(batch)


class WholeModel(nn.Module):
    """Model with sampling and neighbor search inside.

    The cloud is lengthened by copies of its first point, so that it has as many points as the encoder has centers;
    the copies are padding, which influences nothing and is never searched.

    Args:
        model: in eval mode, on the CPU.
        plan: of :func:`index_plan`.
    """

    def __init__(self, model: Clip2Model, plan: IndexPlan) -> None:
        super().__init__()
        self.model, self.plan = model, plan

    def forward(
        self, points: Tensor, colors: Tensor | None, has_color: Tensor | None, radii: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """points (B, N, 3), all of them real; colors (B, N, 3), has_color (B,), radii (B,)."""
        batch, count, _ = points.shape
        search = _Search(count, count + self.plan.samples)
        longer = _lengthened(points, self.plan.samples)
        painted = None if colors is None else _lengthened(colors, self.plan.samples)
        lengths = torch.full((batch,), count, dtype=torch.int64)
        with registry.replaced_kernels(search.kernels()):
            return self.model._infer(prepared(self.model, longer, lengths, painted, has_color, radii))


def _lengthened(table: Tensor, more: int) -> Tensor:
    return torch.cat([table, table[:, :1].expand(table.shape[0], more, 3)], 1) if more else table


class _Recorder:
    """Kernels that write down what they are asked for and answer with the first points."""

    def __init__(self) -> None:
        self.points = torch.empty(0)
        self.samples = 0
        self.queries: list[Query] = []

    def kernels(self) -> dict[str, registry.Kernel]:
        return {"farthest_point_sample": self.sample, "ball_query": self.ball, "knn": self.nearest}

    def sample(self, points: Tensor, k: int, *_: Any) -> Tensor:
        if self.samples or points.shape != self.points.shape:
            raise InputError(
                "samples more than once", field="encoder", fix="export an encoder with nested samples"
            )
        self.samples = k
        return torch.arange(k).expand(len(points), k)

    def ball(self, points: Tensor, centers: Tensor, radius: float, k: int, *_: Any) -> Tensor:
        return self._index("ball_query", points, centers, radius, k)

    def nearest(self, points: Tensor, centers: Tensor, k: int, *_: Any) -> tuple[Tensor, Tensor]:
        index = self._index("knn", points, centers, None, k)
        return index, index.float()

    def _index(self, op: str, points: Tensor, centers: Tensor, radius: float | None, k: int) -> Tensor:
        for cloud in (points, centers):
            if not torch.equal(cloud, self.points[:, : cloud.shape[1]]):
                raise InputError(
                    "searches points that are no part of its sample",
                    field="encoder",
                    fix="export another encoder",
                )
        cloud_size = points.shape[1]
        self.queries.append(
            Query(
                op=op,  # type: ignore[arg-type]
                searched=None if cloud_size == self.points.shape[1] else cloud_size,
                centers=centers.shape[1],
                radius=radius,
                k=k,
            )
        )
        return torch.arange(k).expand(len(points), centers.shape[1], k)


@dataclass(frozen=True)
class _Search:
    """Kernels in operations that every ONNX runtime has; the cloud of ``longer`` points holds ``real`` ones."""

    real: int
    longer: int

    def kernels(self) -> dict[str, registry.Kernel]:
        return {"farthest_point_sample": self.sample, "ball_query": self.ball, "knn": self.nearest}

    def sample(self, points: Tensor, k: int, *_: Any) -> Tensor:
        index: Tensor = torch.ops.clip2.farthest_point_sample(points[:, : self.real], int(k))
        return index

    def ball(self, points: Tensor, centers: Tensor, radius: float, k: int, lengths: Tensor | None) -> Tensor:
        squared, absent = self._squared(points, centers, lengths)
        count = squared.shape[2]
        inside = squared <= radius**2
        if absent is not None:
            inside = inside & ~absent
        # The k smallest indices within the radius; rows with fewer are filled up by an index that is none.
        column = torch.where(inside, torch.arange(count), count)
        fill = torch.full((1, 1, k), count).expand(column.shape[0], column.shape[1], k)
        return _first_for_none(torch.cat([column, fill], -1).topk(k, largest=False).values, count)

    def nearest(
        self, points: Tensor, centers: Tensor, k: int, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        squared, absent = self._squared(points, centers, lengths)
        count = squared.shape[2]
        if absent is not None:
            squared = squared.masked_fill(absent, torch.inf)
        fill = torch.full((1, 1, k), torch.inf).expand(squared.shape[0], squared.shape[1], k)
        found = torch.cat([squared, fill], -1).topk(k, largest=False)  # ONNX: ties by index, as in clip2.ops
        return _first_for_none(found.indices, count), found.values

    def _squared(
        self, points: Tensor, centers: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, S, N) squared distances, and (B, 1, N) which points are padding; None: none is."""
        absent = None
        if points.shape[1] == self.longer:
            points = points[:, : self.real]
        elif lengths is not None:
            absent = (torch.arange(points.shape[1]) >= lengths[:, None])[:, None]
        # Multiplied, then added, axis by axis: rounded as in clip2.ops, so that ties fall alike.
        x, y, z = ((points[:, None, :, i] - centers[:, :, None, i]) for i in range(3))
        return x * x + y * y + z * z, absent


def _first_for_none(index: Tensor, count: int) -> Tensor:
    return torch.where(index >= count, index[..., :1], index)


@torch.library.custom_op("clip2::farthest_point_sample", mutates_args=())
def _sample(points: Tensor, k: int) -> Tensor:
    return torch.from_numpy(farthest_point_sample(points.numpy(), k))


@_sample.register_fake
def _(points: Tensor, k: int) -> Tensor:
    return points.new_empty((points.shape[0], k), dtype=torch.int64)
