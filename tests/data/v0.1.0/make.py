"""Makes the files of this folder. Run with the code of version 0.1.0 (commit faffd85) and its tests on PYTHONPATH.

cd V0.1.0 && PYTHONPATH=.:tests python make.py OUT
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from clip2.familiarity import Familiarity
from detection_stand_ins import ColorDetector, PaintedScan

import clip2
from clip2.checkpoint import add_familiarity
from clip2.cli import main as command
from clip2.training import load_config, train
from data_prep.detect.detection_run import detect_scan

os.environ["OMP_NUM_THREADS"] = "1"
CONFIG = (
    "model.encoder.name=pointnet",
    "model.encoder.options={widths: [16, 32]}",
    "model.preprocessing.num_points=32",
    "data.max_points=64",
    "loop.steps=6",
    "loop.batch_size=8",
    "loop.checkpoint_every=3",
    "device.accelerator=cpu",
    "device.threads=1",
)


def run(*words: object) -> None:
    """A `clip2` command."""
    assert command([str(word) for word in words]) == 0, words


def main(out: Path) -> None:
    """Everything, in a new folder."""
    out.mkdir(parents=True)
    os.chdir(out)
    run(
        "prep",
        "procedural",
        "room",
        "--option",
        "frames=2",
        "--option",
        "image_size=320,240",
        "--associate",
        "--max-points",
        64,
        "--out",
        "triplets",
    )
    run("embed", "triplets", "--clip", "mini")

    # A run that was killed after the state of step 3, and the model that it would have ended with.
    train(load_config(None, [*CONFIG, "data.folders=[triplets]"]), "run")
    shutil.rmtree("run/tensorboard")
    Path("model").mkdir()
    for name in ("config.json", "model.safetensors", "text_bank.npz"):
        shutil.move(f"run/{name}", f"model/{name}")
    Path("run/state/step-000000006.safetensors").unlink()

    model, random = clip2.load("model"), np.random.default_rng(0)
    spread = np.array([[1, 1, 1], [1, 0.1, 0.1], [1, 1, 0.1]])
    clouds = [(spread[i % 3] * random.normal(size=(50, 3))).astype(np.float32) for i in range(160)]
    features = model.describe(clouds).features
    outliers = model.describe([cloud**3 for cloud in clouds[:40]]).features
    known = Familiarity.fit(features[:120], np.arange(120) % 3, features[120:], strangers=[outliers])
    add_familiarity("model", known)
    np.save("model/clouds.npy", np.array(clouds[:3]))
    described = clip2.load("model").describe(clouds[:3])
    expected = {
        "embeddings": described.embeddings.tolist(),
        "distances": known.distance(described.features).tolist(),
        "known": known.is_familiar(described.features).tolist(),
    }
    Path("model/expected.json").write_text(json.dumps(expected))

    run("export", "procedural", "room", "layout", "--option", "frames=1", "--option", "image_size=64,48")
    run("recognize", "layout", "--source", "layout", "--labels", "chair,table", "--out", "result.json")
    for name in ("result.ply", "result.html"):
        Path(name).unlink()

    # A detection run, finished, and one that was killed in its third batch.
    Path("detect").mkdir()
    detect_scan(PaintedScan(Path("x")), ColorDetector(), "detect/finished.json", batch_size=2)
    if os.fork() == 0:
        detect_scan(PaintedScan(Path("x")), ColorDetector(kill_at=3), "detect/killed.json", batch_size=2)
    os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
