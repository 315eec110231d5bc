"""Archives: what is packed tightly is read, what unpacks without end is not."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from data_prep.storage import parsing


def test_occupancy_grids_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ModelNet10 as float32 grids unpacks to 260 times its size; zeros unpack to a thousand times theirs."""
    monkeypatch.setattr(parsing, "_BOMB", 0)
    random = np.random.default_rng(0)
    grids = np.zeros((200, 24, 24, 24), np.float32)
    for grid in np.repeat(np.arange(200), 4):
        low, high = np.sort(random.integers(0, 25, (2, 3)), axis=0)
        grids[grid][tuple(slice(*edge) for edge in zip(low, high, strict=True))] = random.integers(2)
    file = tmp_path / "grids.npz"
    np.savez_compressed(file, grids=grids)
    assert 150 < grids.nbytes / file.stat().st_size < 390
    assert np.array_equal(parsing.read_arrays(file, most_times=400)["grids"], grids)
    with pytest.raises(ValueError, match="would unpack to"):
        parsing.read_arrays(file)
    np.savez_compressed(file, grids=np.zeros_like(grids))
    with pytest.raises(ValueError, match="would unpack to"):
        parsing.read_arrays(file, most_times=400)


def test_a_healthy_header_is_read_though_python_refuses_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python 3.11 does if another thread parses in the midst of it."""
    array, read, refused = np.arange(6).reshape(2, 3), ast.literal_eval, [1]

    def refuse(text: str) -> object:
        if refused:
            refused.pop()
            raise SystemError("AST constructor recursion depth mismatch (before=51, after=47)")
        return read(text)

    monkeypatch.setattr(ast, "literal_eval", refuse)
    assert np.array_equal(parsing.parse_array(parsing.array_bytes(array)), array)
    assert not refused
    refused.extend(range(100))
    with pytest.raises(ValueError, match="has a damaged header"):
        parsing.parse_array(parsing.array_bytes(array))
