"""Lightning Fabric, threads, determinism and environment of a run."""

from __future__ import annotations

import os
import platform
import resource
import subprocess  # nosec B404
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clip2.device import parse_device
from clip2.training.config import DeviceConfig
from clip2.training.sharding import sharding_strategy
from data_prep.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def create_fabric(config: DeviceConfig) -> Fabric:
    """Lightning Fabric for the configured devices, with its processes connected.

    Raises:
        InputError: the machine has fewer devices than configured.
    """
    from lightning_fabric import Fabric  # takes seconds to import

    torch.set_num_threads(config.threads or default_threads())
    accelerator: str = config.accelerator
    if accelerator == "auto":
        accelerator = parse_device("auto").type
    available = {
        "cpu": config.devices,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[accelerator]
    if available < config.devices:
        raise InputError(
            f"is {config.devices}, this machine has {available} of {accelerator}",
            field="device.devices",
            fix="set device.accelerator and device.devices to what this machine has",
        )
    precision = config.precision
    if precision == "auto":
        bf16 = accelerator == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if bf16 else "32-true"
    several = config.devices * config.nodes > 1
    if several:
        _require_fresh_stores()
    strategy: Any = "auto"
    if several and config.strategy == "fsdp":
        strategy = sharding_strategy(config.devices * config.nodes)
    elif several:
        # DDP regroups gradients after its first step, unless it searches for unused ones. With three or more ranks the
        # groups decide the order of sums, so that a resumed run would differ in the last bits.
        exact = accelerator == "cpu" and config.devices * config.nodes > 2
        strategy = "ddp_find_unused_parameters_true" if exact else "ddp"
    fabric = Fabric(
        accelerator=accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        precision=precision,
        strategy=strategy,
    )
    fabric.launch()
    return fabric


def _require_fresh_stores() -> None:
    """Refuse a torchrun whose restarts would hang.

    Its agent keeps one key-value store over all attempts, so restarted processes look for each other under the addresses
    of the dead ones (seen in torch 2.15).
    """
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    if restarts and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError(
            "restarted processes would look for those of the last attempt",
            source="torchrun --max-restarts",
            fix="set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of torchrun",
        )


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels on a CPU, where they cost nothing; a GPU keeps its fast ones."""
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
    """Whether ``mine`` is True on any rank, so that all ranks act at the same step."""
    if fabric.world_size == 1:
        return mine
    flag = torch.tensor(float(mine), device=fabric.device)
    total = fabric.all_reduce(flag, reduce_op="sum")
    return isinstance(total, torch.Tensor) and bool(total > 0)


# In the messages of torch's backends when a process of the group is gone or silent.
_LOST = (
    "Connection closed by peer",
    "Connection reset",
    "Broken pipe",
    "Timed out",
    "timed out",
    "timeout",
    "aborted",
)


@contextmanager
def lost_ranks(fabric: Fabric) -> Iterator[None]:
    """Inside, the backend's error for a process that ended or went silent is one line.

    Raises:
        InputError: another process of the run is lost.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or any(sign in str(error) for sign in _LOST)
        if fabric.world_size == 1 or not lost:
            raise
        raise InputError(
            f"rank {fabric.global_rank} lost another of the {fabric.world_size} processes of this run",
            field="device.devices",
            fix="see its own message, then continue with --resume; torchrun --max-restarts 3 does that by itself",
        ) from error


def peak_memory(device: torch.device) -> int:
    """Bytes: the highest so far, of the process on a CPU, of the tensors on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def environment() -> dict[str, str]:
    """Versions that a run depends on, and the commit of the folder it was started in, if that is a git checkout."""
    facts = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning-fabric": version("lightning-fabric"),
        "numpy": np.__version__,
    }
    try:
        state = subprocess.run(  # git of the user  # nosec B603 B607
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return facts
    return facts | ({"git": state.stdout.strip()} if state.returncode == 0 else {})


def default_threads() -> int:
    """CPU threads: ``OMP_NUM_THREADS`` if set, otherwise this process's share of the physical cores."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    return max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def physical_cores() -> int:
    """Physical cores that this process may use; the hardware threads of a core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text().strip() if siblings.is_file() else str(cpu))
    return max(1, len(cores))
