"""Sharding of large encoders over the ranks of a run (FSDP): each holds a part of weights, gradients and moments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from clip2.encoders.patch_transformer import Trunk
from clip2.model import Clip2Model

if TYPE_CHECKING:
    from lightning_fabric.strategies import ModelParallelStrategy


def sharding_strategy(world: int) -> ModelParallelStrategy:
    """Fabric's strategy that shards the encoder of a :class:`~clip2.model.Clip2Model` over all ranks.

    Fabric's own ``fsdp`` runs on GPUs only; this one, on torch's ``fully_shard``, also on a CPU.
    """
    from lightning_fabric.strategies import ModelParallelStrategy

    return ModelParallelStrategy(_shard, data_parallel_size=world, tensor_parallel_size=1)


def _shard(model: Clip2Model, mesh: Any) -> Clip2Model:
    """Shard each transformer block, so that one at a time is whole, then the rest of the encoder.

    The projection and the temperatures stay whole: they are small, and scalars cannot be sharded.
    """
    from torch.distributed.fsdp import fully_shard

    ranks = mesh["data_parallel"]
    for trunk in [module for module in model.encoder.modules() if isinstance(module, Trunk)]:
        for block in trunk:
            fully_shard(block, mesh=ranks)
    fully_shard(model.encoder, mesh=ranks)
    return model


def whole(value: torch.Tensor) -> torch.Tensor:
    """A tensor that may be sharded, as a whole one. All ranks must ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


@torch.no_grad()
def copy_whole(target: torch.Tensor, value: torch.Tensor) -> None:
    """Copy a whole tensor, equal on all ranks, into one that may be sharded."""
    target.copy_(like(target, value))


def like(target: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A whole tensor, equal on all ranks, sharded and placed as ``target``."""
    value = value.to(target.device)
    if not isinstance(target, DTensor):
        return value
    return distribute_tensor(value, target.device_mesh, target.placements)


def agree(model: nn.Module) -> None:
    """Average the gradients of what stays whole, as the backward pass does for what is sharded."""
    for parameter in model.parameters():
        if not isinstance(parameter, DTensor) and parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def share_buffers(model: nn.Module) -> None:
    """Give all ranks the BatchNorm statistics of the first, which are saved."""
    for buffer in model.buffers():
        dist.broadcast(buffer, 0)


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients so that their norm over all ranks is at most ``max_norm``."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    local = [gradient.to_local() for gradient in gradients if isinstance(gradient, DTensor)]
    here = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    squares = sum((part.square().sum() for part in local), torch.zeros((), device=here[0].device))
    dist.all_reduce(squares)
    norm = (squares + sum(gradient.square().sum() for gradient in here)).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in (*local, *here):
        gradient *= factor
