"""Training: mine triplets, embed them with CLIP, train a point encoder, and name objects with it.

    python examples/training.py --epochs 30
    python examples/training.py --source rgbd --root my_scan --detections detections.json --clip ViT-B-32/laion2b_s34b_b79k

Without a source the scan is a synthetic room, its boxes are exact, and CLIP is the small stand-in that ships with clip2.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

import clip2
from clip2.cli import main as command
from data_prep import open_triplets


def main(
    source: str = "procedural",
    root: str = "room",
    detections: Path | None = None,
    clip: str = "mini",
    frames: int = 12,
    epochs: int = 5,
    out: Path = Path("training"),
) -> int:
    """Run the commands one after the other; run it again to continue.

    Args:
        source: reader of the scan.
        root: folder of the scan.
        detections: COCO JSON of 2D boxes; the synthetic room needs none.
        clip: CLIP model that embeds crops and labels.
        frames: of the synthetic room.
        epochs: passes over the triplets.
        out: folder for triplets and run.
    """
    triplets, run = str(out / "triplets"), str(out / "run")
    boxes = ["--option", f"frames={frames}"] if detections is None else ["--detections", str(detections)]
    config = ["model.encoder={name: pointnet2_ssg_small}", "loop.batch_size=16", f"loop.epochs={epochs}"]
    for arguments in (
        ["prep", source, root, *boxes, "--out", triplets],
        ["embed", triplets, "--clip", clip],
        ["train", "--data", triplets, "--out", run, "--resume", *(f"--set={change}" for change in config)],
    ):
        if code := command(arguments):
            return code
    objects = list(open_triplets(triplets))[:5]
    named = clip2.load(run).classify([one.points for one in objects], colors=[one.colors for one in objects])
    for one, best in zip(objects, named.top(3), strict=True):
        print(f"{one.texts[0]:<14}", ", ".join(f"{label} {score:.2f}" for label, score in best))
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
