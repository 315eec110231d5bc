"""A frozen CLIP with random weights, loaded the way real ones are."""

from __future__ import annotations

import pytest
from support.tiny_clip import make_tiny_clip

from clip2.teacher import Teacher


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """``local-dir:`` name of a tiny CLIP, 32 wide."""
    return make_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def tiny_teacher(tiny_clip: str) -> Teacher:
    return Teacher.load(tiny_clip, precision="fp32")
