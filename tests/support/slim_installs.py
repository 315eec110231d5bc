"""Packages that the slim installs leave out."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Distribution → what it is called when it is imported.
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "open-clip-torch": "open_clip"}


def modules(text: str) -> set[str]:
    names = re.findall(r'^\s*"?([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=', text, re.M)
    return {IMPORTED_AS.get(name.lower().replace("_", "-"), name.replace("-", "_")) for name in names}


def left_out(requirements: str) -> set[str]:
    """What `pip install clip2` imports and the file of requirements does not install."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    base = project[project.index("\ndependencies = [") : project.index("[project.optional")]
    slim = modules((ROOT / requirements).read_text("utf-8"))
    return modules(base) - slim
