"""Processes of one run on this machine: connected over gloo, started as torchrun starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import lightning_fabric  # noqa: F401 - here, so that forked processes need not import it each
import matplotlib.figure  # noqa: F401
import pytest
import torch._dynamo  # noqa: F401
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def elastic(world: int, job: Callable[..., Any], *arguments: Any, restarts: int = 0) -> dict[int, Any]:
    """Run ``job(*arguments)`` in ``world`` processes under torchrun's agent, which restarts all if one dies.

    Returns:
        What each rank returned.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=world,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
        start_method="fork",
    )
    # Otherwise restarted processes look for each other under the addresses of the dead ones.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
        return elastic_launch(config, job)(*arguments)


def ranks(world: int, job: Callable[..., Any], *arguments: Any) -> list[multiprocessing.Process]:
    """Start ``job(*arguments)`` in ``world`` processes that nobody watches, as on several machines without an agent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_as_rank, args=(rank, world, port, job, arguments)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    return processes  # type: ignore[return-value]


def _as_rank(rank: int, world: int, port: int, job: Callable[..., Any], arguments: tuple) -> None:
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "TORCHELASTIC_RUN_ID": "test",
    }
    job(*arguments)
