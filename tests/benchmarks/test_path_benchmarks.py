"""The benchmarks of loader, recognition and memory run, and say of what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.mini_stand_ins import put_tiny_mini_points
from support.scan_twins import write_kitti

from benchmarks import loader_speed, memory, recognition_speed
from benchmarks.loader_speed import Case
from benchmarks.record import Settings


def test_bytes_per_object_by_hand(tmp_path: Path) -> None:
    """40 points: 9 bytes each and a float16 vector; pickled 24 each and four float32 vectors."""
    speed, size = loader_speed.measure(Case("mined objects", 6, 40, 40), 6, tmp_path, 1)
    words = 4 * 512 * 1156 / 2000
    assert size.ours is not None
    assert size.theirs is not None
    assert 0 < 1e3 * size.ours - (40 * 9 + 2 * 512 + 8 * 3 + words) < 700  # index and counts, of six objects
    assert 0 < 1e3 * size.theirs - (40 * 24 + 4 * 4 * 512) < 1000
    assert speed.ours
    assert speed.target is not None


def test_steps_of_a_sweep_and_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_tiny_mini_points(tmp_path, monkeypatch)
    write_kitti(tmp_path / "kitti_object", frames=2)
    whole, *steps = recognition_speed.rows(Settings(1, quick=True, data=tmp_path))
    assert whole.note.startswith("1 sweeps of KITTI, ")
    assert f"{torch.get_num_threads()} threads" in whole.note
    assert [row.case.strip() for row in steps] == [
        "of it proposals",
        "of it boxes around them",
        "of it encoding",
        "of it naming",
    ]
    assert all(row.ours is not None and whole.ours is not None and row.ours <= whole.ours for row in steps)


def test_memory_is_not_measured_where_the_kernel_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent")
    assert {row.note for row in memory.rows(Settings(quick=True))} == {"not measured: not Linux"}
