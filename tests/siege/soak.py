"""Long work in one process: memory, open files and threads along the way."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 40
WARM = 0.25  # share of the work in which caches and pools fill
NOISE_MB = 6.0


@dataclass(frozen=True)
class Soaked:
    """What a process held while it worked.

    Attributes:
        megabytes, files, threads: at :data:`SAMPLES` moments, evenly spread over the work.
    """

    megabytes: list[float]
    files: list[int]
    threads: list[int]

    @property
    def growth(self) -> float:
        """Megabytes that a straight line through the samples gains from the end of the warming to the end."""
        settled = np.array(self.megabytes[int(WARM * len(self.megabytes)) :])
        slope = np.polyfit(np.arange(len(settled)), settled, 1)[0]
        return float(slope * (len(settled) - 1))

    @property
    def flat(self) -> bool:
        """Whether memory grows within noise, and open files and threads end as they were after the warming."""
        first = int(WARM * len(self.files))
        return (
            self.growth <= NOISE_MB
            and self.files[-1] <= max(self.files[: first + 1])
            and self.threads[-1] <= max(self.threads[: first + 1])
        )


class Meter:
    """Takes a sample after each fortieth of the work."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._at = {round(total * (k + 1) / SAMPLES) for k in range(SAMPLES)}
        self.samples: list[tuple[float, int, int]] = []

    def tick(self) -> None:
        """One piece of work is done."""
        self._done += 1
        if self._done in self._at:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files, threads = (len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task"))
            self.samples.append((pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files, threads))


def _mine(meter: Meter, count: int, folder: Path) -> None:
    from support import triplet_stand_ins

    class Scan(triplet_stand_ins.StandInScan):
        def __getitem__(self, index: int) -> Any:
            meter.tick()
            return super().__getitem__(index)

    triplet_stand_ins.StandInScan = Scan  # type: ignore[misc]
    triplet_stand_ins.mine_stand_ins(folder / "out", count, objects_per_shard=500)


def _train(meter: Meter, count: int, folder: Path) -> None:
    from support.training_shapes import WORDS, surface, unit_rows

    from clip2.training import load_config, pack, train
    from clip2.training.learner import Learner

    random = np.random.default_rng(0)
    words = [i % 3 for i in range(90)]
    clouds = [(surface(word, random), None) for word in words]
    data = pack(clouds, [[word] for word in words], WORDS, unit_rows(3), "x/y")
    step = Learner.step

    def counted(self: Learner, number: int) -> Any:
        meter.tick()
        return step(self, number)

    Learner.step = counted  # type: ignore[method-assign]
    settings = (
        "model.encoder.name=pointnet", "model.encoder.options={widths: [16, 32]}",
        "model.preprocessing.num_points=32", "loop.batch_size=8", f"loop.steps={count}",
        f"loop.checkpoint_every={max(1, count // 100)}", "loop.log_every=20", "loop.loggers=[]",
        "loop.evaluate_every=50", "data.hold_out=0.2", "device.accelerator=cpu", "device.threads=1",
    )  # fmt: skip
    train(load_config(None, settings), folder / "run", data=data)


def _recognize(meter: Meter, count: int, folder: Path) -> None:
    import clip2
    from data_prep import open_scan

    scan = open_scan("procedural", "room", frames=8, image_size=(80, 60))
    frames = [scan[i] for i in range(8)]
    recognizer = clip2.Recognizer(clip2.load("mini-points"))
    for i in range(count):
        recognizer.set_scan(frames[i % 8])
        recognizer.query(["chair", "table", f"label {i % 3}"] if i % 2 else ["mug", "bottle"])
        meter.tick()


JOBS: dict[str, tuple[Callable[[Meter, int, Path], None], int]] = {
    "frames mined": (_mine, 10_000),
    "training steps": (_train, 10_000),
    "set_scan and query": (_recognize, 2_000),
}


def soak(name: str, count: int | None = None) -> Soaked:
    """Do the work in a process of its own.

    Args:
        name: of :data:`JOBS`.
        count: pieces of work; None: those of a full siege.
    """
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, count or JOBS[name][1], send))
    process.start()
    send.close()
    try:
        samples = receive.recv()
    finally:
        process.join()
    return Soaked(*(list(column) for column in zip(*samples, strict=True)))


def _work(name: str, count: int, send: Any) -> None:
    meter = Meter(count)
    with tempfile.TemporaryDirectory() as folder:
        JOBS[name][0](meter, count, Path(folder))
    send.send(meter.samples)
