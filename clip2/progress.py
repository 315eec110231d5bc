"""Progress bars, and interruption of long jobs."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(Progress):
    """rich's bar, erased if an error ends it or if it had nothing to show.

    After Ctrl-C it stays visible and shows the progress.
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
        """End the bar. rich would write a line break to a file even without a bar."""
        if self.live.transient:
            self.live.stop()
        else:
            super().stop()


class FrameBar(ProgressBar):
    """Bar of frames done and what was found in them, shown from the first frame on.

    Args:
        doing: name of the job.
        console: to draw on.

    Attributes:
        moved: whether any frame was done.
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
        """Move to ``done`` of ``total`` frames and list ``found`` behind, separated by commas."""
        self.moved = True
        text = f" · {', '.join(found)}" if found else ""
        self.update(self._task, total=total, completed=done, found=text, visible=True)


class StopRequest:
    """While entered, records the first SIGINT or SIGTERM; a second one raises KeyboardInterrupt at once.

    A training run then ends after the current step, with its state saved.

    Attributes:
        requested: whether a signal came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        # Python delivers signals to the main thread only; elsewhere the host program decides.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
