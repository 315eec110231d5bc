"""Fixtures shared by all tests: where the real data is, if it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import data_prep.native as native

# No test sends a request to the hub by accident; those with a stand-in of it lift this.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent


def data_root() -> Path | None:
    """The real data folder: ``CLIP2_DATA``, else ``../shared/data`` beside the project; None when absent."""
    root = Path(os.environ.get("CLIP2_DATA", ROOT.parent / "shared" / "data"))
    return root if root.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real scans; tests that ask for it skip where it is absent."""
    root = data_root()
    if root is None:
        pytest.skip("no real data: set CLIP2_DATA")
    return root


@pytest.fixture(params=[0, 1, 2], ids=["baseline", "avx2", "avx512"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[int]:
    """The native library held to one instruction set, where this CPU has it."""
    if native.problem() is not None:
        pytest.skip("the native library is not built here")
    best = native.limit_instruction_set(2)
    if request.param > best:
        pytest.skip("this CPU does not have it")
    yield native.limit_instruction_set(request.param)
    native.limit_instruction_set(2)
