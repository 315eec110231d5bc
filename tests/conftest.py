"""Fixtures shared by all tests: where the real data is, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
