"""Complete pipeline on real LiDAR: KITTI frames → triplets → training against CLIP's text vectors → labeled objects.

    python examples/kitti.py DATA --bank vit_b32_text_bank.npz [--out runs/kitti] [--seed 0]

DATA holds ``kitti_object/``, ``kitti_tracking/`` and ``detections/`` (COCO JSON). Frames 0-8 of tracking sequence 0001 and 0-1 of
the object set are trained on; tracking frames 10-14 and object frame 2 are recognized, with and without 2D boxes.
A synthetic city adds classes that these few frames lack, and background. The set is tiny: the table shows that the pipeline works and is
not a benchmark. The boxes are those of the labels unless ``--detector`` names another detection file.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

import clip2
from clip2.cli import main as command
from clip2.evaluation.open_set import reliability
from clip2.teacher import TextBank
from data_prep import open_scan
from data_prep.detect import CocoDetections

# Labels of the data that the bank lacks, and what it calls them.
LABELS = ("pedestrian=person", "cyclist=bicycle", "motorcyclist=motorcycle", "construction vehicle=bulldozer",
          "hedge=tree", "bush=tree", "fence=building", "wall=building")  # fmt: skip
QUERY = "car,van,truck,person,bicycle"
BACKGROUND = (
    "tree,building,lamppost,traffic light,trash can,bench,stop sign,bus,motorcycle,fire hydrant,mailbox"
)
# Of a labeled object's points in the box, and of an object found, this much must be shared to call it found.
FOUND = 0.25
# Names with a higher score are trusted.
SURE = 0.5
COUNTS = (
    "objects asked for",
    "of them named right",
    "of them named right and sure",
    "false sure names",
    "frames",
)


def main(
    data: tyro.conf.Positional[Path],
    bank: Path,
    bank_model: str = "ViT-B-32/openai",
    out: Path = Path("runs/kitti"),
    seed: int = 0,
    detector: str = "gt",
    config: Path = Path(__file__).parent.parent / "configs/train/kitti_example.yaml",
) -> None:
    """Mine, train, recognize, and print what was named what.

    Args:
        data: folder with kitti_object, kitti_tracking and detections.
        bank: text vectors of the labels.
        bank_model: the CLIP model they come from.
        out: triplets, run and results go here.
        seed: of the training and the synthetic city.
        detector: which file of detections to use: kitti_object_NAME.json and kitti_tracking_NAME.json.
        config: training configuration.
    """
    tracking, objects = data / "kitti_tracking", data / "kitti_object"
    boxes = {
        name: data / "detections" / f"{name}_{detector}.json" for name in ("kitti_tracking", "kitti_object")
    }
    renamed = [part for label in LABELS for part in ("--label-map", label)]
    folders = [out / "triplets-tracking", out / "triplets-object", out / "triplets-city"]

    clip2_command("prep", "kitti-tracking", tracking, "--detections", boxes["kitti_tracking"],
                  "--frames", "0001_000000..0001_000008", "--out", folders[0], *renamed)  # fmt: skip
    clip2_command("prep", "kitti", objects, "--detections", boxes["kitti_object"],
                  "--frames", "000000..000001", "--out", folders[1], *renamed)  # fmt: skip
    clip2_command("prep", "procedural", "city", "--option", "frames=96", "--option", "worlds=12",
                  "--option", "beams=64", "--option", "boxed_background=true",
                  "--option", f"seed={seed}", "--option", "detector=good", "--out", folders[2], *renamed)  # fmt: skip
    for folder in folders:
        clip2_command("embed", folder, "--bank", bank, "--bank-model", bank_model)
    clip2_command(
        "train",
        "--config",
        config,
        "--data",
        *folders,
        "--out",
        out / "run",
        "--set",
        f"seed={seed}",
        "--resume",
    )

    recognizer = clip2.Recognizer(clip2.load(out / "run"), TextBank.load(bank, model=bank_model))
    tests = {
        "kitti-tracking": (tracking, "kitti_tracking", ["0001_000010", "0001_000012", "0001_000014"]),
        "kitti": (objects, "kitti_object", ["000002"]),
    }
    for with_boxes in (True, False):
        table, counts = Counter[tuple[str, str]](), Counter[str]()
        scored: list[tuple[float, bool]] = []
        for source, (root, name, frames) in tests.items():
            for frame in frames:
                given = boxes[name] if with_boxes else None
                scored += recognize(recognizer, source, root, frame, given, table, counts)
        show(table, counts, scored, f"{'with' if with_boxes else 'without'} 2D boxes")
        (out / f"confusion_{'with' if with_boxes else 'without'}_boxes.json").write_text(
            json.dumps([[*pair, count] for pair, count in sorted(table.items())], indent=1)
        )
    shown = out / "tracking-000010.json"
    clip2_command("recognize", tracking, "--source", "kitti-tracking", "--frame", "0001_000010",
                  "--model", out / "run", "--bank", bank, "--bank-model", bank_model,
                  "--labels", QUERY, "--background", BACKGROUND, "--detections", boxes["kitti_tracking"], "--out", shown)  # fmt: skip


def clip2_command(*arguments: object) -> None:
    """Run a ``clip2`` command as a shell would, and stop where it fails."""
    strings = [str(argument) for argument in arguments]
    print("$ clip2", *strings, flush=True)
    code = command(strings)
    if code:
        sys.exit(code)


def recognize(
    recognizer: clip2.Recognizer,
    source: str,
    root: Path,
    frame_id: str,
    detections: Path | None,
    table: Counter[tuple[str, str]],
    counts: Counter[str],
) -> list[tuple[float, bool]]:
    """Count (label, name given or why none), over the labeled objects with at least 10 points in view, and ``COUNTS``.

    Returns the score of each object in view that got a name asked for, and whether the name is right.

    A sure name among those asked for is false if the object found is no labeled object of that name. Nobody labeled
    what is far or hidden (``DontCare``), so some of these are right.
    """
    scan = open_scan(source, root)
    index = scan.frame_ids().index(frame_id)
    frame, labels = scan[index], scan.annotations(index)  # type: ignore[attr-defined]
    view = frame.views[0]
    found = None
    if detections is not None:
        found = [CocoDetections.load(detections).for_image(view.name, view.camera.width, view.camera.height)]
    recognizer.set_scan(frame, found)
    # All labels are offered, so that an object mistaken for a tree shows as a tree and not as missing.
    result = recognizer.query(f"{QUERY},{BACKGROUND}")
    in_view = view.camera.in_image(view.camera.project(frame.points)[0])
    asked, called = QUERY.split(","), dict(pair.split("=") for pair in LABELS)
    right: set[int] = set()
    for box, label in zip(labels.boxes, labels.labels, strict=True):
        inside = np.flatnonzero(in_view & box.contains(frame.points))
        if len(inside) < 10:
            continue
        overlap = [
            len(np.intersect1d(points, inside)) / len(np.union1d(points[in_view[points]], inside))
            for points in result.indices
        ]
        best = int(np.argmax(overlap)) if overlap else -1
        name = result.labels[best] if best >= 0 and overlap[best] >= FOUND else "(not found)"
        table[label, name] += 1
        expected = called.get(label, label)
        counts[COUNTS[0]] += expected in asked
        if name == expected and name in asked:
            right.add(best)
            counts[COUNTS[1]] += 1
            counts[COUNTS[2]] += bool(result.scores[best] >= SURE)
    scored = []
    for i, points in enumerate(result.indices):
        if result.labels[i] in asked and in_view[points].mean() >= 0.5:
            scored.append((float(result.scores[i]), i in right))
            counts[COUNTS[3]] += bool(result.scores[i] >= SURE and i not in right)
    counts[COUNTS[4]] += 1
    return scored


def show(
    table: Counter[tuple[str, str]], counts: Counter[str], scored: list[tuple[float, bool]], title: str
) -> None:
    """Print the confusion table, the counts, and how far scores are from the share of right names."""
    given = sorted({name for _, name in table})
    grid = Table("label", *given, title=f"labeled objects with at least 10 points, {title}")
    for label in sorted({label for label, _ in table}):
        grid.add_row(label, *(str(table[label, name] or "·") for name in given))
    Console().print(grid)
    objects, right, sure, false, frames = (counts[name] for name in COUNTS)
    print(
        f"of {objects} objects asked for: named right {right}, right with a score of at least {SURE}: {sure}"
    )
    print(f"false names asked for with a score of at least {SURE}: {false / frames:.2f} per frame")
    if scored:
        error = reliability(*zip(*scored, strict=True), bins=5).ece
        print(f"expected calibration error of {len(scored)} names asked for: {error:.3f}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
