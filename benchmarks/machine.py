"""What the figures were measured on, and whether it was busy with other things."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from clip2 import ops

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "neon", "sve")
_PACKAGES = ("numpy", "scipy", "open3d", "fpsample", "torch-cluster", "torch-scatter")
# Of the cores: waiting for this share of them already says that something else ran.
_QUIET = 0.3


def describe_machine() -> dict[str, Any]:
    """Processor, memory, versions, GPUs, and the load before anything was measured."""
    cores = os.cpu_count() or 1
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    cpu = _proc("/proc/cpuinfo")
    names, flags = _field(cpu, "model name"), _field(cpu, "flags").split()
    memory = re.search(r"MemTotal:\s+(\d+) kB", _proc("/proc/meminfo"))
    return {
        "cpu": names or platform.processor() or platform.machine(),
        "model": " ".join(f"{key} {_field(cpu, key)}" for key in ("cpu family", "model") if _field(cpu, key)),
        "cores": cores,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": round(int(memory.group(1)) / 2**20, 1) if memory else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        # What the compiled point operations use of the processor, or why there are none.
        "kernels": next(row.reason for row in ops.backends() if row.op == "farthest_point_sample"),
        "versions": {name: _version(name) for name in _PACKAGES},
        "load_average": None if load is None else [round(value, 2) for value in load],
        "shared": load is not None and load[0] > _QUIET * cores,
    }


def describe(machine: dict[str, Any]) -> str:
    """One paragraph for people."""
    memory = f", {machine['memory_gib']:g} GiB" if machine["memory_gib"] else ""
    gpus = f"; {', '.join(machine['gpus'])}" if machine["gpus"] else "; no GPU"
    model = f" ({machine['model']})" if machine["model"] else ""
    busy = ""
    if machine["load_average"] is not None:
        busy = f" Load average at the start: {machine['load_average'][0]:g}"
        busy += (
            ": **the machine was shared with other work, so take ratios, not milliseconds.**"
            if machine["shared"]
            else ": nothing else ran."
        )
    versions = ", ".join(
        f"{name} {found}" if found else f"{name} not installed" for name, found in machine["versions"].items()
    )
    kernels = f", point operations: {machine['kernels']}" if "kernels" in machine else ""
    return (
        f"{machine['cpu']}{model}, {machine['cores']} cores ({' '.join(machine['flags'])}){memory}{gpus}; "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']} with {machine['threads']} "
        f"threads{kernels}, {versions}.{busy}"
    )


def _proc(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _field(text: str, key: str) -> str:
    found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
