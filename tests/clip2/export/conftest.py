"""One export of the shipped model for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import clip2
from clip2.export import export_onnx


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not hasattr(torch.onnx.ONNXProgram, "rename_axes"):
        pytest.skip("clip2 export needs torch 2.11")
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(clip2.load("mini-points"), folder, int8=True)
    return folder
