"""What a terminal, and a file, hold after a bar."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from clip2.progress import FrameBar
from data_prep.errors import InputError


def _after(error: BaseException | None, frames: int, terminal: bool) -> list[str]:
    """Lines on a screen, or in a file, after a bar of three frames and a word."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, color_system=None)
    with nullcontext() if error is None else pytest.raises(type(error)), FrameBar("mining", console) as bar:
        for done in range(frames):
            bar.show(done + 1, 3, "5 objects", "2 refused")
        if error is not None:
            raise error
    console.print("said")
    return _screen(stream.getvalue())


def _screen(text: str) -> list[str]:
    """The lines a terminal shows; of its control sequences those that rich's bars use."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(text):
        if text.startswith("\x1b[", at):
            end = next(i for i in range(at + 2, len(text)) if text[i].isalpha())
            number = text[at + 2 : end]
            if text[end] == "A":
                row -= int(number or 1)
            elif text[end] == "K":
                lines[row] = ""
            else:
                assert text[end] in "hl", text[at : end + 1]  # the cursor shown or hidden
            at = end
        elif text[at] == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text[at] == "\r":
            column = 0
        else:
            lines[row] = lines[row].ljust(column)[:column] + text[at] + lines[row][column + 1 :]
            column += 1
        at += 1
    return [line.rstrip() for line in lines[:row]]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("frames", [0, 2])
def test_an_error_comes_on_a_clean_line(terminal: bool, frames: int) -> None:
    assert _after(InputError("is wrong"), frames, terminal) == ["said"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_that_had_nothing_to_show_leaves_nothing(terminal: bool) -> None:
    assert _after(None, 0, terminal) == ["said"]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_how_far_the_work_came_stays(terminal: bool, error: BaseException | None) -> None:
    bar, said = _after(error, 2, terminal)
    assert bar.startswith("mining")
    assert "2/3 frames · 5 objects, 2 refused" in bar
    assert said == "said"
