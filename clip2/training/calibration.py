"""Calibration of a trained model's scores on new scenes of the synthetic worlds that it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.open_set import reliability
from clip2.labels import BACKGROUND, normalize_label
from clip2.model import Clip2Model
from clip2.recognition import Recognizer
from clip2.score_calibration import FEWEST, LogisticMap, ScoreCalibration
from clip2.teacher.text_bank import TextBank
from data_prep.triplets import Manifest, open_triplets
from data_prep.world import ProceduralScan

_RIGHT = 0.5  # IoU of points from which an object is the one that it is called
_OTHER_WORLDS = 0xCA1  # added to the seed: worlds that no training object is from


class NamedObjects(NamedTuple):
    """Objects of known truth that a model named with a wanted label.

    Attributes:
        likely, objectness: (n,) 0..1, the evidence.
        right: (n,) whether each is an object of that label.
        world: (n,) number of the world it is in.
    """

    likely: NDArray[np.float32]
    objectness: NDArray[np.float32]
    right: NDArray[np.bool_]
    world: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Iterable[NamedObjects]) -> NamedObjects:
        """All as one."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def synthetic_manifests(folders: Sequence[str | Path]) -> list[Manifest]:
    """Manifests of those of some triplet folders that were mined from the synthetic world."""
    manifests = [open_triplets(folder).manifest for folder in folders]
    return [manifest for manifest in manifests if manifest.source == "procedural" and manifest.root]


def calibrate(
    model: Clip2Model, bank: TextBank, manifests: Sequence[Manifest], frames: int
) -> tuple[ScoreCalibration, dict[str, float]]:
    """Fit maps from evidence to the share of right names, and measure them in other worlds.

    Names are asked for as a user would: all labels of the bank compete, those of background are not wanted. One map is
    fitted to objects found by geometry, one to objects lifted from the simulated detector's boxes.

    Args:
        model: a trained model.
        bank: its labels.
        manifests: of the synthetic sets that it was trained on, at least 1.
        frames: new frames of each; half of the worlds are fitted to, the other half is measured.

    Returns:
        The maps, and expected calibration errors in the other worlds: ``ece`` and, of the product of the evidence,
        ``ece_of_product``, by way of finding.
    """
    maps: dict[str, LogisticMap] = {}
    metrics = {}
    recognizer = Recognizer(model, bank)
    found = [_named(recognizer, bank, manifest, frames) for manifest in manifests]
    for way, parts in zip(("proposed", "lifted"), zip(*found, strict=True), strict=True):
        objects = NamedObjects.join(parts)
        measured = objects.world % 2 == 1
        if min((~measured).sum(), measured.sum()) < FEWEST:
            continue
        maps[way] = LogisticMap.fit(*(column[~measured] for column in objects[:3]))
        likely, objectness, right, _ = (column[measured] for column in objects)
        metrics[f"{way}_ece"] = reliability(maps[way](likely, objectness), right).ece
        metrics[f"{way}_ece_of_product"] = reliability(likely * objectness, right).ece
    return ScoreCalibration(**maps), metrics


def _named(
    recognizer: Recognizer, bank: TextBank, manifest: Manifest, frames: int
) -> tuple[NamedObjects, NamedObjects]:
    """Objects named in new frames of a set's world, found by geometry and lifted from detections."""
    options = dict(manifest.options["scan"])
    if "image_size" in options:
        options["image_size"] = tuple(options["image_size"])
    options |= {
        "frames": frames,
        "worlds": max(2, frames // 2),
        "seed": options.get("seed", 0) + _OTHER_WORLDS,
    }
    scan = ProceduralScan(Path(manifest.root or ""), **options)
    called = manifest.options["mining"]["labels"]
    background = tuple(name for name in bank.names if normalize_label(name) in BACKGROUND)
    wanted = tuple(name for name in bank.names if name not in background)
    parts: tuple[list[NamedObjects], list[NamedObjects]] = ([], [])
    for i in range(len(scan)):
        world = int(scan.world_of(i).split()[-1])
        truth = scan.ground_truth(i).instances
        # The names that each instance may have, as the triplets' labels were mapped.
        names = {
            placed.instance: {normalize_label(name) for name in called.get(placed.label, (placed.label,))}
            for placed in scan.world_objects(i)
        }
        for part, detections in zip(parts, (None, scan.detections(i)), strict=True):
            recognizer.set_scan(scan[i], detections)
            best, likely = recognizer.likeliest(wanted, background)
            objects = recognizer.unnamed()
            assert objects.objectness is not None
            known = recognizer.is_in_distribution()
            stays = recognizer.settle(np.where(known, likely * objects.objectness, 0))
            kept = stays[(best[stays] < len(wanted)) & known[stays]]
            right = [
                normalize_label(wanted[best[k]]) in names.get(_instance_of(objects.indices[k], truth), ())
                for k in kept
            ]
            part.append(
                NamedObjects(
                    likely[kept], objects.objectness[kept], np.array(right, bool), np.full(len(kept), world)
                )
            )
    return NamedObjects.join(parts[0]), NamedObjects.join(parts[1])


def _instance_of(points: NDArray[np.int64], truth: NDArray[np.int32]) -> int:
    """Instance that shares at least half of its union with the points; -1 for none."""
    ids, counts = np.unique(truth[points], return_counts=True)
    ids, counts = ids[ids >= 0], counts[ids >= 0]
    if len(ids) == 0:
        return -1
    best, shared = int(ids[counts.argmax()]), int(counts.max())
    return best if shared >= _RIGHT * (len(points) + int((truth == best).sum()) - shared) else -1
