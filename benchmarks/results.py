"""Results of benchmark runs as JSON: written while they grow, read, combined from several machines."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import Curve, Row, Settings
from benchmarks.suite import BENCHMARKS
from clip2 import ops
from data_prep.errors import InputError
from data_prep.storage.files import require_writable, write_atomically

FORMAT, FORMAT_VERSION = "clip2-benchmarks", 1
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "neon", "sve")
_PACKAGES = ("numpy", "scipy", "open3d", "fpsample", "torch-cluster", "torch-scatter")
# Load average per core from which something else was running.
_QUIET = 0.3


def begin(names: Iterable[str], settings: Settings, machine: dict[str, Any]) -> dict[str, Any]:
    """Empty results of a run."""
    chosen = list(names)
    uses_data = [name for name in chosen if BENCHMARKS[name].needs_data or BENCHMARKS[name].takes_data]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "runs": [
            {
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                "names": [],
                "unfinished": [],
                "machine": machine,
                "quick": settings.quick,
                "repeats": settings.repeats,
            }
        ],
        "about": {name: BENCHMARKS[name].about for name in chosen},
        "needs_data": uses_data,
        "rows": [],
        "curves": [],
    }


def add(figures: dict[str, Any], found: Row | Curve) -> None:
    """Append one row or curve."""
    figures["rows" if isinstance(found, Row) else "curves"].append(found.to_json())


def save(path: Path, figures: dict[str, Any]) -> None:
    """Write the results atomically."""
    text = json.dumps(figures, indent=1) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def prepare(path: Path, field: str) -> None:
    """Check, before minutes of measuring, that ``path`` can be written afterwards.

    Raises:
        InputError: it cannot, or it is a folder.
    """
    if path.is_dir():
        raise InputError("is a folder", source=path, field=field, fix="name a file")
    require_writable(path.parent, field)
    path.parent.mkdir(parents=True, exist_ok=True)


def load(file: Path) -> dict[str, Any]:
    """Results that ``--json`` wrote.

    Raises:
        InputError: the file does not hold complete results.
    """
    fix = "name a file that --json wrote"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=file, fix=fix) from None
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, FORMAT_VERSION):
        raise InputError("does not hold results of benchmarks", source=file, fix=fix)
    try:
        for run in found["runs"]:
            run["names"], run["machine"]["cpu"], run["quick"]
        for name in _benchmarks(found):
            found["about"][name]
        found["needs_data"] = list(found["needs_data"])
        for row in found["rows"]:
            Row.from_json(row)
        for curve in found["curves"]:
            Curve.from_json(curve)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"lacks a part ({type(error).__name__}: {error})", source=file, fix="measure again"
        ) from None
    return found


def combine(files: Sequence[Path]) -> dict[str, Any]:
    """Results of several runs as one. Of a benchmark that ran twice, the later file counts.

    A later run that was interrupted or measured nothing, as on a machine without a GPU, does not replace an earlier one.
    """
    figures, *others = (load(file) for file in files)
    for found in others:
        known = _measured(figures)
        new = {name for name in _benchmarks(found) if name in _measured(found) or name not in known}
        new -= {name for run in found["runs"] for name in run.get("unfinished", ()) if name in known}
        for run in figures["runs"]:
            _keep(run, new, False)
        for run in found["runs"]:
            _keep(run, new, True)
        figures["runs"] = [run for run in figures["runs"] + found["runs"] if _of_run(run)]
        for kind in ("rows", "curves"):
            kept = [record for record in figures[kind] if record["benchmark"] not in new]
            figures[kind] = kept + [record for record in found[kind] if record["benchmark"] in new]
        figures["about"] |= found["about"]
        figures["needs_data"] = sorted({*figures["needs_data"], *found["needs_data"]})
    return figures


def _of_run(run: dict[str, Any]) -> list[str]:
    return [*run["names"], *run.get("unfinished", ())]


def _benchmarks(figures: dict[str, Any]) -> list[str]:
    return [name for run in figures["runs"] for name in _of_run(run)]


def _measured(figures: dict[str, Any]) -> set[str]:
    found = {row["benchmark"] for row in figures["rows"] if row["ours"] is not None}
    return found | {curve["benchmark"] for curve in figures["curves"]}


def _keep(run: dict[str, Any], names: set[str], inside: bool) -> None:
    for kind in ("names", "unfinished"):
        run[kind] = [name for name in run.get(kind, ()) if (name in names) is inside]


def describe_machine() -> dict[str, Any]:
    """Processor, memory, versions, GPUs, and the load average before measuring."""
    cores = os.cpu_count() or 1
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    cpu = _proc("/proc/cpuinfo")
    names, flags = _value_of(cpu, "model name"), _value_of(cpu, "flags").split()
    memory = re.search(r"MemTotal:\s+(\d+) kB", _proc("/proc/meminfo"))
    return {
        "cpu": names or platform.processor() or platform.machine(),
        "model": " ".join(
            f"{key} {_value_of(cpu, key)}" for key in ("cpu family", "model") if _value_of(cpu, key)
        ),
        "cores": cores,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": round(int(memory.group(1)) / 2**20, 1) if memory else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        # Instruction set of the compiled point operations, or why there are none.
        "kernels": next(row.reason for row in ops.backends() if row.op == "farthest_point_sample"),
        "versions": {name: _version(name) for name in _PACKAGES},
        "load_average": None if load is None else [round(value, 2) for value in load],
        "shared": load is not None and load[0] > _QUIET * cores,
    }


def describe(machine: dict[str, Any]) -> str:
    """One paragraph about a machine."""
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


def _value_of(text: str, key: str) -> str:
    found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
