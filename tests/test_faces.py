"""Faces of the packages that must stay light: no torch, and for the overview no numpy either."""

import subprocess
import sys

import pytest

from clip2.cli.main import COMMANDS

TORCH = ("torch", "open_clip", "open3d", "transformers")
ANY = (*TORCH, "numpy", "scipy", "PIL", "pydantic", "tyro", "rich")
RUN = "from clip2.cli.main import main; main({!r})"
# Everything in data_prep but the detectors, which run networks, and the synthetic world, which casts rays with Open3D.
EVERY_MODULE = """
import data_prep, importlib, pathlib
root = pathlib.Path(data_prep.__file__).parent
for path in root.rglob("*.py"):
    room, *_ = parts = path.relative_to(root).with_suffix("").parts
    if room not in ("detect", "world"):
        importlib.import_module(".".join(("data_prep", *parts)).removesuffix(".__init__"))
"""
FACES = {
    "clip2 --help": (RUN.format(["--help"]), ANY),
    "import clip2": ("import clip2; dir(clip2)", ANY),
    "import data_prep": ("import data_prep; dir(data_prep)", ANY),
    "every module of data_prep": (EVERY_MODULE, TORCH),
    "Instances3D": ("from clip2 import Instances3D", TORCH),
    "fuse_frames": ("from clip2.recognition import fuse_frames, fit_upright_box", TORCH),
    "open_scan": (
        "from data_prep import open_scan, mine, create_lifter, open_triplets, CocoDetections",
        TORCH,
    ),
    **{f"clip2 {name} --help": (RUN.format([name, "--help"]), (*TORCH, "numpy")) for name in COMMANDS},
}


@pytest.mark.parametrize("face", FACES)
def test_a_light_face_imports_nothing_heavy(face):
    code, forbidden = FACES[face]
    watch = (
        f"import atexit, sys; atexit.register(lambda: print(sorted(set({forbidden!r}) & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", f"{watch}\n{code}"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"
