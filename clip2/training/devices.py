"""Devices, precision and CPU threads of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from clip2.training.config import DeviceConfig
from data_prep.errors import InputError


def create_fabric(config: DeviceConfig) -> Fabric:
    """Lightning Fabric for the configured devices, with its processes connected.

    Raises:
        InputError: the machine does not have what the configuration asks for.
    """
    torch.set_num_threads(config.threads or _default_threads())
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


def _default_threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    return max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def physical_cores() -> int:
    """Cores this process may use; two hardware threads of one core count once, for they share its arithmetic."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text().strip() if siblings.is_file() else str(cpu))
    return max(1, len(cores))


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
