"""Worker processes of the demo, one per setting; imports nothing heavy."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import InputError
from data_prep.scale.processes import one_thread_each

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.world.demo.plan import Plan
    from data_prep.world import Setting


def make_settings(out: Path, settings: Sequence[Setting], plan: Plan, console: Console) -> None:
    """Run :func:`clip2.world.demo.scenes.make_setting` for each setting in a separate process.

    Args:
        out: the demo's folder.
        settings: settings to make.
        plan: plan of the run.
        console: receives the progress bars.

    Raises:
        InputError: raised by a process.
        RuntimeError: a process died; stderr has the reason.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from clip2.progress import ProgressBar
    from clip2.world.demo.scenes import frames_to_make

    # Not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}"),
    )
    processes: dict[Connection, BaseProcess] = {}
    try:
        with ProgressBar(*columns, console=console) as progress:
            tasks = {}
            for setting in settings:
                receiver, sender = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(
                    target=_work, args=(sender, out, setting, plan), daemon=True
                )
                with one_thread_each():
                    process.start()
                sender.close()  # the process holds the only other end: when it dies, reading ends
                processes[receiver] = process
                tasks[receiver] = progress.add_task(
                    f"{setting}s", total=frames_to_make(plan, setting), what="starting"
                )
            waiting = set(processes)
            while waiting:
                for connection in wait(list(waiting)):
                    assert isinstance(connection, Connection)
                    try:
                        message = connection.recv()
                    except EOFError:
                        processes[connection].join()
                        raise RuntimeError(
                            f"a worker died (exit code {processes[connection].exitcode})"
                        ) from None
                    if isinstance(message, InputError):
                        raise message
                    if message is None:
                        waiting.remove(connection)
                    else:
                        done, what = message
                        progress.update(tasks[connection], completed=done, what=what)
    finally:
        for process in processes.values():
            process.terminate()  # finished parts are kept
            process.join()


def _work(connection: Connection, out: Path, setting: Setting, plan: Plan) -> None:
    # Ctrl-C reaches the whole group; the parent ends its workers itself, without a traceback from each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from clip2.world.demo.scenes import make_setting

    try:
        make_setting(out, setting, plan, lambda done, what: connection.send((done, what)))
    except InputError as error:
        connection.send(error)
    else:
        connection.send(None)
