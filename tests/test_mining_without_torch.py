"""The slim install: mining runs with the packages of requirements-mining.txt alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.slim_installs import ROOT, left_out

RUN = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from clip2.cli import main
sys.exit(main({arguments}))
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = RUN.format(blocked=left_out("requirements-mining.txt"), arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scan that docs/layout.md writes, with one box per image."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/layout.md").read_text("utf-8")
    exec(page.split("```python\n")[1].split("```")[0], {})
    images = [{"id": i, "file_name": f"images/{i}.jpg", "width": 640, "height": 480} for i in range(3)]
    box = [200, 150, 200, 150]
    found = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": box, "area": 1, "score": 0.9} for i in range(3)
    ]
    file = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(file))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def test_torch_is_left_out() -> None:
    assert {"torch", "open_clip", "open3d", "safetensors"} <= left_out("requirements-mining.txt")


@pytest.mark.parametrize("file", ["requirements-mining.txt", "requirements-runtime.txt"])
def test_slim_installs_ask_for_the_versions_of_the_full_one(file: str) -> None:
    asked = [line for line in (ROOT / file).read_text("utf-8").splitlines() if not line.startswith("#")]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert [each for each in asked if f'"{each}"' not in project] == []


def test_mining_and_inspection(drive: Path) -> None:
    mined = run("prep", "layout", "drive", "--detections", "boxes.json", "--out", "triplets", cwd=drive)
    assert mined.returncode == 0, mined.stderr
    assert json.loads((drive / "triplets/manifest.json").read_text())["finished"]
    assert run("inspect", "triplets", cwd=drive).returncode == 0
    assert run("check", "layout", "drive", cwd=drive).returncode in (0, 1)


def test_what_needs_torch_says_so(drive: Path) -> None:
    done = run("classify", "cloud.ply", "--labels", "car", cwd=drive)
    assert done.returncode == 2
    assert re.fullmatch(
        r"clip2: classify needs \w+, which is not installed. Fix: pip install clip2\n", done.stderr
    )
