"""Training log: summary of the data, progress bar, ``metrics.jsonl``, curves, and loggers by name."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from clip2.model_config import ColorsSeen
from clip2.progress import ProgressBar
from clip2.training.curves import draw_curves
from clip2.training.dataset import TrainingSet
from clip2.training.loggers import METRICS_FILE, LoggerName, open_logger, read_metrics
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically, writing

_COLORS_SEEN = {
    "absent": "clouds are shown without color only: the model will ignore colors",
    "present": "clouds are shown with color only: the model will reject clouds without "
    "(augmentation.color_drop above 0 trains both)",
    "both": "clouds are shown with and without color: the model will accept both",
}


def summary(data: TrainingSet, train_on: NDArray[np.int64], held_out: int, seen: ColorsSeen) -> list[str]:
    """Lines about the data of a run: counts, color, objects left out.

    Args:
        data: the training set.
        train_on: (m,) rows that are trained on.
        held_out: number of held-out objects.
        seen: states of color that the run shows.
    """
    alone = "their image alone" if data.point_targets is None else "their image and the point teacher"
    textless = int((data.own_texts[train_on, 0] < 0).sum())
    images, colors = int(data.image_present[train_on].sum()), int(data.has_color[train_on].sum())
    clouds, first = data.clouds, data.own_texts[train_on, 0]
    single = int((np.bincount(first[first >= 0], minlength=len(data.texts)) == 1).sum())
    where = {
        "memory": "in memory",
        "files": "mapped from the float16 files beside the shards",
        "shards": "read from the shards in every pass",
    }[clouds.home]
    return [
        f"{len(train_on)} objects ({images} with an image, {colors} with color), {len(data.texts)} texts, "
        f"{held_out} objects held out, vectors of {data.teacher.name}",
        *([f"{textless} objects have no text and train by {alone}"] if textless else []),
        *([f"{single} texts have one object each and are hardly learned"] if single else []),
        f"points: {clouds.nbytes / 1e6:.1f} MB {where}",
        _COLORS_SEEN[seen],
        *(f"{count} objects left out: {reason}" for reason, count in data.left_out.items()),
    ]


class RunLog:
    """Writes the metrics of a run; entering shows the bar, leaving closes the files.

    Args:
        run: the run's folder.
        first: steps already done; metrics of later steps, left by a killed run, are dropped.
        total: steps in total.
        console: for the bar and lines; None: write nothing (ranks other than the first).
        loggers: names of further receivers of the metrics.
        config: configuration of the run, flat, for them.

    Raises:
        InputError: the package of a logger is not installed.
    """

    def __init__(
        self,
        run: Path,
        first: int,
        total: int,
        console: Console | None,
        loggers: Sequence[LoggerName] = (),
        config: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.console, self._run = console, run
        if console is None:
            return
        path = run / METRICS_FILE
        kept = "".join(json.dumps(record) + "\n" for record in read_metrics(run) if record["step"] <= first)
        write_atomically(path, lambda scratch: scratch.write_text(kept, encoding="utf-8"))
        self._file = path.open("a", encoding="utf-8")
        self._curves = "curves" in loggers
        self._loggers = [open_logger(name, run, first, config) for name in loggers if name != "curves"]
        self._progress = ProgressBar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("train", total=total, completed=first, metrics="")

    def __enter__(self) -> RunLog:
        if self.console is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.console is not None:
            self._progress.__exit__(kind, error, traceback)
            with writing(self._run / METRICS_FILE, "--out"):
                self._file.close()
            for logger in self._loggers:
                logger.close()
            if self._curves:
                try:
                    draw_curves(self._run)
                except InputError as missing:
                    self.say(str(missing))

    def advance(self, step: int) -> None:
        """Move the bar to ``step`` steps done."""
        if self.console is not None:
            self._progress.update(self._task, completed=step)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Store named metrics measured after ``step`` steps."""
        if self.console is None:
            return
        record = {"step": step, "time": round(time.time(), 3), **metrics}
        with writing(self._run / METRICS_FILE, "--out"):
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        for logger in self._loggers:
            logger.log(step, metrics)
        if "train/loss" in metrics:
            shown = [
                f"{name.replace('_loss', '')} {metrics[f'train/{name}']:.3f}"
                for name in ("loss", "text_loss", "image_loss", "points_loss")
                if f"train/{name}" in metrics
            ]
            shown.append(f"{metrics['train/objects_per_second']:.0f} objects/s")
            shown.append(f"data {metrics['train/data_share']:.0%}  {metrics['train/memory_gb']:.1f} GB")
            self._progress.update(self._task, metrics="  ".join(shown))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self.console is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
