"""Devices and precision of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric

from clip2.training.config import DeviceConfig
from clip2.training.threads import default_threads
from data_prep.errors import InputError


def create_fabric(config: DeviceConfig) -> Fabric:
    """Lightning Fabric for the configured devices, with its processes connected.

    Raises:
        InputError: the machine does not have what the configuration asks for.
    """
    torch.set_num_threads(config.threads or default_threads())
    accelerator = config.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": config.devices,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[accelerator]
    if available < config.devices:
        raise InputError(
            f"{config.devices} of {accelerator} asked for, {available} here",
            field="device.devices",
            fix="set device.accelerator and device.devices to what this machine has",
        )
    precision = config.precision
    if precision == "auto":
        bf16 = accelerator == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if bf16 else "32-true"
    several = config.devices * config.nodes > 1
    fabric = Fabric(
        accelerator=accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        precision=precision,
        strategy="ddp" if several else "auto",
    )
    fabric.launch()
    return fabric


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels on the CPU, where they cost nothing; a GPU keeps its fast ones."""
    before = torch.are_deterministic_algorithms_enabled()
    settings: Any = torch.utils.deterministic
    filling = settings.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = filling


def any_rank(fabric: Fabric, mine: bool) -> bool:
    """Whether any rank says yes, for what all must do at the same step."""
    if fabric.world_size == 1:
        return mine
    flag = torch.tensor(float(mine), device=fabric.device)
    total = fabric.all_reduce(flag, reduce_op="sum")
    return isinstance(total, torch.Tensor) and bool(total > 0)
