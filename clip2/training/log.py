"""What a run says while it runs: a progress bar, ``metrics.jsonl`` and TensorBoard scalars."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)

from clip2.progress import ProgressBar

METRICS_FILE, TENSORBOARD_FOLDER = "metrics.jsonl", "tensorboard"


class RunLog:
    """Writes figures of a run; entering shows the bar, leaving closes the files.

    Args:
        run: the run's folder.
        first: steps already done; figures of later steps, left by a killed run, are dropped.
        total: steps in all.
        console: where the bar and lines go; None: nowhere (ranks other than the first).
    """

    def __init__(self, run: Path, first: int, total: int, console: Console | None) -> None:
        self.console = console
        if console is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        path = run / METRICS_FILE
        kept = _lines_up_to(path, first)
        path.write_text("".join(kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run / TENSORBOARD_FOLDER), purge_step=first)
        self._progress = ProgressBar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("train", total=total, completed=first, figures="")

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
            self._file.close()
            self._board.close()

    def advance(self, step: int) -> None:
        """Moves the bar to ``step`` steps done."""
        if self.console is not None:
            self._progress.update(self._task, completed=step)

    def figures(self, step: int, figures: dict[str, float]) -> None:
        """Stores named figures of the moment after ``step`` steps."""
        if self.console is None:
            return
        record = {"step": step, "time": round(time.time(), 3), **figures}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
        if "train/loss" in figures:
            shown = [
                f"{name.replace('_loss', '')} {figures[f'train/{name}']:.3f}"
                for name in ("loss", "text_loss", "image_loss")
                if f"train/{name}" in figures
            ]
            shown.append(f"{figures['train/objects_per_second']:.0f} objects/s")
            self._progress.update(self._task, figures="  ".join(shown))

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        if self.console is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines_up_to(path: Path, step: int) -> list[str]:
    if not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break  # the line a killed run was writing
        if line.endswith("\n") and record["step"] <= step:
            kept.append(line)
    return kept
