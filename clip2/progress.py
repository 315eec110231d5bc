"""Progress bars that leave a clean line for the error that ends them."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(Progress):
    """rich's bar; one that an error ended, or that never had anything to show, is wiped away.

    Interrupted by Ctrl-C it stays: how far the work came is worth knowing.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) or not any(task.visible for task in self.tasks):
            self.live.transient = True
        super().__exit__(kind, error, traceback)

    def stop(self) -> None:
        """End it. rich would end the line of a bar in a file even where it drew none."""
        if self.live.transient:
            self.live.stop()
        else:
            super().stop()


class FrameBar(ProgressBar):
    """Frames done and what was found in them, shown from the first frame on.

    Args:
        doing: the work, in a word.
        console: where it is drawn.

    Attributes:
        moved: whether there was any frame to do.
    """

    def __init__(self, doing: str, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames{task.fields[found]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self.moved = False
        self._task = self.add_task(doing, total=None, visible=False, found="")

    def show(self, done: int, total: int, *found: str) -> None:
        """Move to ``done`` of ``total`` frames; ``found`` stands behind, parted by commas."""
        self.moved = True
        text = f" · {', '.join(found)}" if found else ""
        self.update(self._task, total=total, completed=done, found=text, visible=True)
