"""The GPU table is filled by the same code on any device; here on a CPU, with few points."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu


def test_every_row_can_be_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gpu._ROWS, gpu.TRAINING_LOW)  # the other step with another number format
    filled = gpu.rows(gpu.Setting(torch.device("cpu"), turns=1, share=0.01))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    empty = gpu.measure(1, quick=True)
    assert [(row.case, row.contender, row.unit, row.target) for row in filled] == [
        (row.case, row.contender, row.unit, row.target) for row in empty
    ]
    assert all(row.ours is not None and row.ours > 0 for row in filled)
    assert all(row.ours is None for row in empty)
    sampling = next(row for row in filled if row.case == gpu.SAMPLING)
    assert sampling.note == "identical samples"


@pytest.mark.gpu
@pytest.mark.slow
def test_every_row_can_be_filled_on_a_gpu() -> None:
    assert all(row.ours is not None for row in gpu.measure(1, quick=True))
