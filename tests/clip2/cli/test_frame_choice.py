"""``--frames``, ``--every`` and ``--limit``."""

from __future__ import annotations

import pytest

from clip2.cli.frame_choice import choose_frames
from data_prep.errors import InputError

IDS = ["0001_000000", "0001_000002", "0001_000004", "0001_000006", "0002_000000"]


@pytest.mark.parametrize(
    ("frames", "every", "limit", "chosen"),
    [
        (None, 1, None, [0, 1, 2, 3, 4]),
        (":3", 1, None, [0, 1, 2]),
        ("3:", 1, None, [3, 4]),
        ("-2:", 1, None, [3, 4]),
        ("1:5:2", 1, None, [1, 3]),
        ("0001_000002..0001_000006", 1, None, [1, 2, 3]),
        ("0002_000000, 0001_000000", 1, None, [4, 0]),
        ("0001_000000..0001_000004,0001_000002", 1, None, [0, 1, 2]),  # never twice
        (None, 2, None, [0, 2, 4]),
        (None, 2, 2, [0, 2]),
        (":3", 2, 9, [0, 2]),
    ],
)
def test_frames_are_chosen(frames: str | None, every: int, limit: int | None, chosen: list[int]) -> None:
    assert choose_frames(IDS, frames, every, limit) == chosen


@pytest.mark.parametrize(
    ("frames", "every", "limit", "message"),
    [
        ("7:", 1, None, "chooses none of 5 frames"),
        ("", 1, None, "chooses none"),
        ("0003_000000", 1, None, "'0003_000000' is not a frame of the scan. Fix: ids run from '0001_000000'"),
        ("0001_000004..0001_000000", 1, None, "runs backwards"),
        ("0:4:0", 1, None, "steps by 0"),
        (None, 0, None, "--every: is 0"),
        (None, 1, 0, "--limit: is 0"),
    ],
)
def test_impossible_choices_are_refused(
    frames: str | None, every: int, limit: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        choose_frames(IDS, frames, every, limit)
