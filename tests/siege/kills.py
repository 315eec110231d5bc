"""Commands killed at random moments, continued by the same command, and compared with a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from support.forking import forking

# Killed processes are forked from one that has imported everything, so that a kill meets work instead of imports.
_PROCESSES = forking(
    "clip2.cli.main", "clip2.training.loop", "clip2.mapping", "clip2.teacher", "clip2.recognition",
    "data_prep.triplets", "data_prep.associate", "support.ranks", "transformers", "open_clip",
)  # fmt: skip
_PATIENCE = 600  # seconds; machines that do other work are slow
_LEFTOVERS = (".part", ".lock")  # scratch files and locks of the killed: harmless, see docs/reliability.md
_MEASURED = re.compile(r"time|seconds|git|train/(objects_per_second|data_share|memory_gb)")


@dataclass(frozen=True)
class Job:
    """A command that continues what was begun.

    Attributes:
        arguments: of ``clip2``, with ``{inputs}`` and ``{out}`` to fill in.
        kills: of a full siege.
        begins_with: folder of the inputs that the out folder begins as a copy of.
        ranks: processes of a distributed run.
        victims: whom a kill may hit: ``all`` processes at once, like a power cut; the ``main`` process, which must take
            the others with it; or one ``worker``, after which the run may go on or end.
        timed: names of files that tell times and are not compared.
        same: what must be equal at the end, made from the out folder; None: the other files.
    """

    arguments: str
    kills: int
    begins_with: str = ""
    ranks: int = 1
    victims: tuple[str, ...] = ("all",)
    timed: tuple[str, ...] = ()
    same: Callable[[Path], Any] | None = None


def _rows(out: Path) -> Any:
    """The rows of an index, whatever the order and the files they are in."""
    from clip2.search import Index

    rows = Index(str(out))._table.to_arrow().to_pylist()
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


_MINING = "layout {inputs}/layout --detections {inputs}/boxes.json --set objects_per_shard=3 --out {out}"
_TRAINING = (
    "train --data {inputs}/embedded --resume --out {out} --set device.accelerator=cpu --set device.threads=1 --set loop.loggers=[] "
    "--set loop.batch_size=8 --set loop.steps=60 --set loop.checkpoint_every=5 --set loop.log_every=2 "
    "--set model.encoder.name=pointnet --set model.encoder.options={{widths:[16,32]}} "
    "--set model.preprocessing.num_points=64 --set data.hold_out=0.2"
)
JOBS = {
    "prep": Job(f"prep {_MINING}", 12),
    "prep, 2 workers": Job(f"prep {_MINING} --workers 2", 14, victims=("all", "main", "worker")),
    "prep on Ray": Job(f"prep {_MINING} --engine ray --workers 2", 4, victims=("main", "worker")),
    "prep --associate": Job(f"prep {_MINING} --set associate.enabled=true", 10),
    "label": Job(
        "label layout {inputs}/layout --detections {inputs}/boxes.json --format coco3d --out {out}", 6
    ),
    "detect": Job(
        "detect layout {inputs}/layout --detector {inputs}/owl --vocabulary mug,chair --min-score 0 --batch-size 1 "
        "--device cpu --out {out}/found.json",
        10,
    ),
    "embed": Job(
        "embed {out} --clip local-dir:{inputs}/clip --batch-size 4 --device cpu", 10, begins_with="triplets"
    ),
    "train": Job(_TRAINING, 12, timed=("README.md",)),
    "train, 2 ranks": Job(
        f"{_TRAINING} --set device.devices=2", 8, ranks=2, victims=("all", "worker"), timed=("README.md",)
    ),
    "map": Job("map layout {inputs}/layout --out {out} --device cpu", 6),
    "index": Job("index {inputs}/triplets {inputs}/map --out {out} --device cpu", 8, same=_rows),
    "auto": Job(
        "auto layout {inputs}/layout --detections {inputs}/boxes.json --bank {inputs}/bank.npz --out {out} "
        "--set train.loop.steps=4 --set train.loop.loggers=[] --set train.model.encoder.name=pointnet "
        "--set train.model.encoder.options={{widths:[16,32]}} --set train.model.preprocessing.num_points=32 "
        "--set train.data.hold_out=0.3 --set recognized_frames=1 --set label_objects=2",
        5,
        victims=("all", "worker"),
        timed=("README.md", "report.html"),
    ),
    "convert": Job("convert layout {inputs}/layout {out}", 8),
    "export": Job("export mini-points --onnx {out}", 3),
}


def make_inputs(folder: Path) -> Path:
    """Write what the jobs read: a synthetic room of ten small frames and everything made from it."""
    from support.tiny_clip import make_tiny_clip
    from support.tiny_detectors import make_tiny_owl
    from support.training_shapes import unit_rows

    from clip2.teacher import TextBank
    from data_prep import open_scan
    from data_prep.scans.layout.save import save_layout

    scan = open_scan("procedural", "room", frames=10, seed=3, image_size=(160, 120))
    save_layout(scan, folder / "layout")
    scan.save_detections(folder / "boxes.json")  # type: ignore[attr-defined]
    categories = json.loads((folder / "boxes.json").read_text())["categories"]
    labels = tuple(sorted({category["name"] for category in categories}))
    TextBank(labels, unit_rows(len(labels)), "ViT-B-32/openai").save(folder / "bank.npz")
    make_tiny_clip(folder / "clip")
    make_tiny_owl(folder / "owl")
    for command, out in (
        (f"prep {_MINING}", "triplets"),
        (f"prep {_MINING}", "embedded"),
        (JOBS["embed"].arguments, "embedded"),
        (JOBS["map"].arguments, "map"),
    ):
        _run_here(_filled(command, folder, folder / out))
    return folder


@dataclass(frozen=True)
class Killed:
    """One kill and what became of it.

    Attributes:
        moment: seconds after the start.
        victim: who was hit; empty: the run had ended already.
        problem: what is wrong at the end; empty: nothing.
    """

    moment: float
    victim: str
    problem: str = ""


@dataclass
class Siege:
    """Kills of one job.

    Args:
        name: of :data:`JOBS`.
        inputs: of :func:`make_inputs`.
        folder: empty, for the runs.
        seed: of the moments and victims.
    """

    name: str
    inputs: Path
    folder: Path
    seed: int = 0

    def __post_init__(self) -> None:
        self.job = JOBS[self.name]
        self._random = random.Random(f"{self.seed} {self.name}")
        # All runs use one path: some files name it.
        self.out, self.log = self.folder / "out", self.folder / "log.txt"

    def undisturbed(self) -> tuple[Any, float]:
        """Result and duration in seconds of a run that is not killed."""
        self.begin()
        begun = time.monotonic()
        if code := self.end(self.start()):
            raise RuntimeError(f"{self.name} ends with {code} even undisturbed, see {self.log}")
        return self.result(), time.monotonic() - begun

    def kills(self, count: int) -> Iterator[Killed]:
        """Kill the job ``count`` times, each in a new folder, continue it to its end, and compare."""
        whole, duration = self.undisturbed()
        done = misses = 0
        while done < count:
            killed = self._kill_one(whole, duration)
            done += bool(killed.victim)
            misses += not killed.victim
            if killed.victim or killed.problem:
                yield killed
            if misses > 3 + 3 * count:
                raise RuntimeError(f"{self.name} ends before it can be killed")

    def _kill_one(self, whole: Any, duration: float) -> Killed:
        self.begin()
        moment, victim = self._random.uniform(0, duration), self._random.choice(self.job.victims)
        process = self.start()
        process.join(moment)
        others = _descendants(process.pid)
        if not process.is_alive() or (victim == "worker" and not others):
            code = self.end(process)
            return Killed(moment, "", f"ends with {code}: {self.last_line()}" if code else "")
        targets = {"all": [process.pid, *others], "main": [process.pid], "worker": []}[victim]
        targets = targets or [self._random.choice(others)]
        _kill(targets)
        code = self.end(process)
        if problem := _outlived([pid for pid in others if victim == "main" and "ray::" not in _name(pid)]):
            return Killed(moment, victim, problem)
        _kill(others)
        if code and (code := self.end(self.start())):
            return Killed(moment, victim, f"the same command ends with {code}: {self.last_line()}")
        return Killed(moment, victim, difference(whole, self.result()))

    def begin(self) -> None:
        """Remove what an earlier run wrote."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        if self.job.begins_with:
            shutil.copytree(self.inputs / self.job.begins_with, self.out)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)

    def start(self, prepare: Callable[..., None] | None = None, *values: Any) -> BaseProcess:
        """Start the job in a process that first calls ``prepare(*values)``."""
        arguments = _filled(self.job.arguments, self.inputs, self.out)
        process = _PROCESSES.Process(
            target=_command, args=(arguments, self.job.ranks, self.log, prepare, values)
        )
        process.start()
        return process

    def end(self, process: BaseProcess) -> int:
        """Wait for the exit code."""
        process.join(_PATIENCE)
        if process.exitcode is None:
            _kill([process.pid, *_descendants(process.pid)])
            raise RuntimeError(f"{self.name} hangs, see {self.log}")
        return process.exitcode

    def result(self) -> Any:
        """What the out folder holds, without what differs in every run."""
        return self.job.same(self.out) if self.job.same else _contents(self.out, self.job.timed)

    def last_line(self) -> str:
        """What the latest run said at the end."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def _contents(out: Path, timed: tuple[str, ...]) -> dict[str, Any]:
    """Files of a folder, without scratch files of the killed and without times."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in timed and not path.name.endswith(_LEFTOVERS):
            found[path.relative_to(out).as_posix()] = _timeless(path)
    return found


def _timeless(path: Path) -> Any:
    data = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        lines = data.splitlines() if path.suffix == ".jsonl" else [data]
        return [_without_times(json.loads(line)) for line in lines]
    if path.suffix == ".safetensors":
        start = 8 + int.from_bytes(data[:8], "little")
        tensors = json.loads(data[8:start])
        tensors.pop("__metadata__", None)  # holds the seconds of a training so far
        return tensors, data[start:]
    return data


def _without_times(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not _MEASURED.fullmatch(key)}
    return value


def difference(whole: Any, found: Any) -> str:
    """What a result lacks, has too much or has otherwise; empty: nothing."""
    if whole == found:
        return ""
    if not isinstance(whole, dict):
        return f"{len(found)} rows instead of {len(whole)}, or others"
    lost, more = sorted(whole.keys() - found.keys()), sorted(found.keys() - whole.keys())
    other = [name for name in whole.keys() & found.keys() if whole[name] != found[name]]
    return f"lost {lost[:3]}, too many {more[:3]}, different {sorted(other)[:3]}"


def _filled(arguments: str, inputs: Path, out: Path) -> list[str]:
    return [part.format(inputs=inputs, out=out) for part in arguments.split()]


def _run_here(arguments: list[str]) -> None:
    from clip2.cli.main import main

    if code := main(arguments):
        raise RuntimeError(f"clip2 {' '.join(arguments)} ended with {code}")


def _command(
    arguments: list[str], ranks: int, log: Path, prepare: Callable[..., None] | None, values: tuple
) -> None:
    """Main function of a run: a session of its own, its output in a file."""
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from clip2.cli.main import main

    if prepare is not None:
        prepare(*values)
    if ranks == 1:
        sys.exit(main(arguments))
    from support.ranks import elastic

    codes = elastic(ranks, main, arguments, restarts=1)
    sys.exit(max(codes.values()))


def _descendants(pid: int) -> list[int]:
    """Processes below one, without the helpers that Python starts for itself."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _outlived(pids: list[int], patience: float = 60) -> str:
    """Complaint about processes that live on without the one that started them."""
    until = time.monotonic() + patience
    while alive := [pid for pid in pids if _lives(pid)]:
        if time.monotonic() > until:
            return f"{len(alive)} processes live on after their main process: {[_name(pid) for pid in alive]}"
        time.sleep(0.1)
    return ""


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]
    except OSError:
        return ""
