"""The GPU table is filled by the same code on any device; here on a CPU, with few points."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu
from benchmarks.record import Row, Settings


def test_every_row_can_be_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gpu.CASES, gpu.TRAINING_LOW)  # the other step with another number format
    filled = list(gpu.measure(gpu.Setting(torch.device("cpu"), turns=1, share=0.01)))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    empty = list(gpu.rows(Settings(quick=True)))
    assert [(row.case, row.contender, row.unit, row.target) for row in filled] == [
        (row.case, row.contender, row.unit, row.target) for row in empty
    ]
    assert all(row.ours is not None and row.ours > 0 for row in filled)
    assert all(row.ours is None for row in empty)
    sampling = next(row for row in filled if row.case == gpu.SAMPLING)
    assert sampling.note == "identical samples"


def test_a_row_that_fails_says_why_and_the_others_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(setting: gpu.Setting) -> Row:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fills(setting: gpu.Setting) -> Row:
        return Row("gpu", gpu.SUMS, ours=1.0)

    monkeypatch.setattr(gpu, "CASES", {gpu.SAMPLING: fails, gpu.SUMS: fills})
    rows = gpu.measure(gpu.Setting(torch.device("cpu"), turns=1))
    failed, filled = next(rows), next(rows)
    with pytest.raises(RuntimeError, match="1 of 2 rows failed"):
        next(rows)
    assert failed.note == "not measured: failed: OutOfMemoryError: CUDA out of memory"
    assert failed.target is not None
    assert filled.ours == 1


@pytest.mark.gpu
@pytest.mark.slow
def test_every_row_can_be_filled_on_a_gpu() -> None:
    assert all(row.ours is not None for row in gpu.rows(Settings(quick=True)))
