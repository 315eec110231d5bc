"""Killed jobs: at random moments, and before each flush or rename."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.forking import forking

from data_prep.triplets import open_triplets

# Children are forked from one clean process that has imported everything, so that a kill meets work, not imports.
PROCESSES = forking("support.triplet_stand_ins", "data_prep.associate.associator")


class Killed(BaseException):
    """Stands for a power cut: nothing on the way out may write."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kill_and_continue(
    whole: Path, out: Path, job: Callable[..., Any], arguments: tuple, pause: float, kills: int, seed: int
) -> int:
    """Kill ``job(out, *arguments)`` at random moments; what is on disk is whole after each, and right at the end.

    Args:
        whole: set of an undisturbed run.
        out: folder of the killed run.
        job, arguments: a picklable function and its arguments after the folder.
        pause: seconds a frame takes; kills come up to six of them after a new shard.

    Returns:
        How often the job was killed at work.
    """
    expected, moments, shards_seen, killed = contents(whole), random.Random(seed), 0, 0
    for _ in range(kills):
        process = PROCESSES.Process(target=job, args=(out, *arguments))
        process.start()
        while process.is_alive() and len(list(out.glob("shard-*.tar"))) <= shards_seen:
            time.sleep(0.002)  # each run gets a shard further before its moment comes
        time.sleep(moments.uniform(0, 6 * pause))
        killed += process.is_alive()
        process.kill()
        process.join()
        if (out / "manifest.json").exists():
            found = open_triplets(out)
            found.verify()
            assert len(found.shards) >= shards_seen, "a shard was lost"
            shards_seen = len(found.shards)
            for shard in found.shards:
                assert (out / shard.name).read_bytes() == expected[shard.name]
    assert job(out, *arguments).finished
    assert contents(out) == expected
    return killed


@contextmanager
def dies_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it, the flush or rename number ``step`` and all later ones raise :class:`Killed`, which is expected."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Killed
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace"):
            patch.setattr(os, name, counted(getattr(os, name)))
        with pytest.raises(Killed):
            yield
