"""The fast tests under the oldest and the newest dependencies, one virtual environment per column.

    python -m benchmarks.dependencies --only lowest-3.10 --folder /tmp/columns
    python -m benchmarks.dependencies --folder /tmp/columns      # every column whose Python this machine has

A column that cannot be installed is a result too: it says which package has no version for it. Environments are 6 GB each with
the CUDA libraries of torch and are removed after their tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("detect", "ros", "lidar", "cloud", "eval", "onnx", "export", "server", "search")
# What a user of the library meets; browsers, Ray and many processes are of the machine rather than of versions.
TESTS = (
    *(f"tests/clip2/{room}" for room in ("encoders", "mapping", "ood", "ops", "recognition", "teacher", "training")),
    *(f"tests/data_prep/{room}" for room in ("associate", "check", "geometry", "lift", "scans", "storage", "triplets")),
    "tests/clip2/export", "tests/clip2/server", "tests/clip2/search", "tests/test_yesterdays_files.py",
    *(f"tests/clip2/cli/test_{name}.py" for name in ("config_flags", "main_command", "prep_command", "recognize_command")),
    *(f"tests/clip2/test_{name}.py" for name in ("checkpoint", "model", "objectives", "preprocessing")),
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One set of versions.

    Attributes:
        python: version.
        resolution: of uv.
        pins: requirements besides the project's own.
    """

    python: str
    resolution: str = "highest"
    pins: tuple[str, ...] = ()


COLUMNS = {
    "lowest-3.10": Column("3.10", "lowest-direct"),
    "torch2.6-numpy1.26-3.12": Column("3.12", pins=("torch==2.6.*", "numpy==1.26.*")),
    "torch2.6-numpy2-3.11": Column("3.11", pins=("torch==2.6.*", "numpy>=2")),
    **{f"newest-{python}": Column(python) for python in ("3.10", "3.11", "3.12", "3.13")},
}
_SHOWN = ("torch", "numpy", "scipy", "pydantic", "open3d", "transformers")


def main(
    folder: Path, only: tuple[str, ...] = (), keep: bool = False, tests: tuple[str, ...] = TESTS
) -> None:
    """Install each column and run the tests in it.

    Args:
        folder: for the environments; on a disk with 8 GB of room.
        only: columns; empty: all.
        keep: leave the environments where they are.
        tests: files and folders given to pytest.
    """
    console, failed = Console(width=200), False
    table = Table("column", *_SHOWN, "result")
    for name in only or COLUMNS:
        home = folder / name
        problem = _install(COLUMNS[name], home)
        result = problem or _tests(home, tests, folder / f"{name}.txt")
        failed |= "passed" not in result or "failed" in result or "error" in result
        table.add_row(name, *([""] * len(_SHOWN) if problem else _versions(home)), result)
        if not problem:
            console.print(*_failures(folder / f"{name}.txt"), sep="\n", markup=False, soft_wrap=True)
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    console.print(table)
    sys.exit(failed)


def _install(column: Column, home: Path) -> str:
    """What stands in the way; empty: nothing."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    if not (home / "bin/python").exists():
        made = _run(uv, "venv", "--quiet", "--python", column.python, str(home))
        if made.returncode:
            return f"no Python {column.python}"
    wanted = (
        f"{ROOT}[{','.join(EXTRAS)}]",
        "pytest>=8",
        "hypothesis>=6.100",
        "httpx>=0.27",
        "webdataset>=0.2.100",
    )
    done = _run(
        uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "--resolution", column.resolution,
        *wanted, *column.pins,
    )  # fmt: skip
    if done.returncode:
        return "not installable: " + " ".join(done.stderr.split())[:300]
    # The tests need the checkout: the installed copy must not stand beside it.
    _run(uv, "pip", "uninstall", "--quiet", "--python", str(home / "bin/python"), "clip2")
    return ""


def _tests(home: Path, tests: tuple[str, ...], log: Path) -> str:
    # A driver older than the CUDA of a column's torch would fail tests that say nothing about versions.
    without_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    command = (
        str(home / "bin/python"), "-m", "pytest", "-q", "-o", "addopts=", "--import-mode=importlib",
        "-m", "not slow and not gpu", "-p", "no:cacheprovider", "--continue-on-collection-errors", *tests,
    )  # fmt: skip
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(
            command, cwd=ROOT, env=without_gpu, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    summary = [line for line in _lines(log) if re.search(r"\d+ (passed|failed|error)", line)]
    return summary[-1].strip("= ") if summary else f"pytest ended with {done.returncode}, see {log}"


def _failures(log: Path) -> list[str]:
    """One line per file and message: how many tests failed so, and the first of them."""
    found = [
        re.match(r"(?:FAILED|ERROR) (?P<file>[^:\s]+)(?:::(?P<test>.+?))?(?: - (?P<why>.*))?$", line)
        for line in _lines(log)
    ]
    failed = [(each["file"], each["why"] or "", each["test"] or "collection") for each in found if each]
    first = {(file, why): test for file, why, test in reversed(failed)}
    counts = Counter((file, why) for file, why, _ in failed)
    return [f"{n} × {file}: {why} ({first[file, why]})" for (file, why), n in counts.items()]


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def _versions(home: Path) -> list[str]:
    code = f"import importlib.metadata as m; print(*(m.version(name) for name in {_SHOWN}))"
    return _run(str(home / "bin/python"), "-c", code).stdout.split()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    tyro.cli(main)
