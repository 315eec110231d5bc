"""Rate of wrong definite labels, with and without out-of-distribution detection.

    python -m benchmarks.unknown DATA [--model mini-points] [--quantile 0.95 0.8] [--json]

Every cloud is classified among all labels stored in the model. A label is right if it equals the true label or is a synonym
of the same category of the synthetic world. For a cloud of no such category, only `unknown` is right. *Nonsense* is the
share of all clouds that get a wrong definite label.

- ``fresh``: objects of unseen synthetic rooms and streets, cut out along exact 2D boxes: in distribution.
- ``named objects``: DATA/objects/named_objects.npz, points sampled from meshes of three sources; many have no matching
  label and most are not in meters.
- ``kitti things``: proposals in DATA/kitti_object that lie mostly in a labeled box.
- ``kitti background``: those in no labeled box, seen by the camera and in no DontCare region. They have no true label,
  so every definite label counts as nonsense, even `lamppost` for a pole.
"""

from __future__ import annotations

import json as json_format
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import clip2
from benchmarks.record import Row, Settings
from clip2.classification import zero_shot_classify
from clip2.evaluation.open_set import answer_shares
from clip2.labels import normalize_label
from clip2.model import Clip2Model
from clip2.ood.detector import OODDetector
from clip2.recognition import propose_objects
from data_prep.errors import InputError
from data_prep.geometry import Camera, OrientedBox
from data_prep.geometry.transforms import T_zup_from
from data_prep.lift import create_lifter
from data_prep.scans import open_scan
from data_prep.world import ProceduralScan, get_category, list_categories

# KITTI labels that the model lacks -> labels accepted for them.
_KITTI = {
    "cyclist": ("bicycle", "pedestrian"),
    "person sitting": ("pedestrian",),
    "tram": ("bus",),
}
_FRESH_SEED, _ROOMS, _STREETS = 77_000_001, 10, 6
_MOSTLY = 0.5


@dataclass
class Group:
    """Clouds of one kind.

    Attributes:
        clouds: (n, 3) meters, z-up.
        colors: (n, 3) uint8, or None where a cloud has none.
        truth: labels accepted for each; empty if only `unknown` is right.
    """

    clouds: list[NDArray] = field(default_factory=list)
    colors: list[NDArray[np.uint8] | None] = field(default_factory=list)
    truth: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, cloud: NDArray, colors: NDArray[np.uint8] | None, truth: Iterable[str]) -> None:
        """One more."""
        self.clouds.append(cloud)
        self.colors.append(colors)
        self.truth.append(tuple(truth))


def main(
    root: Annotated[Path, tyro.conf.Positional],
    model: str = "mini-points",
    quantile: tuple[float, ...] = (),
    threshold: float = 0.0,
    json: bool = False,
) -> int:
    """Measure confident nonsense.

    Args:
        root: folder with objects/named_objects.npz and kitti_object/.
        model: a run folder, or a name that clip2.load knows.
        quantile: shares of fresh objects to accept; default: the model's.
        threshold: a name less probable than this does not count as definite.
        json: print one JSON object on standard output instead of a table.
    """
    figures = measure(root, model, quantile, threshold)
    if json:
        print(json_format.dumps(figures, indent=2))
    else:
        _print(figures)
    return 0


def rows(settings: Settings) -> Iterator[Row]:
    """Share of clouds that get a wrong definite name."""
    assert settings.data is not None
    for group, ways in measure(settings.data).items():
        off = ways["off"]["nonsense"]
        for way, found in ways.items():
            if way != "off":
                case, ours = f"{group}: definite names that are wrong", found["nonsense"]
                yield Row("unknown", case, "without unknown", "", ours, off, ours / off if off else None)


def measure(
    root: Path,
    model: str = "mini-points",
    quantile: tuple[float, ...] = (),
    threshold: float = 0.0,
) -> dict[str, dict[str, dict[str, float]]]:
    """Group → way of rejecting → figures; arguments as of :func:`main`."""
    loaded = clip2.load(model)
    if loaded.text_bank is None or loaded.ood_detector is None:
        raise InputError("has no text bank or no out-of-distribution detector", source=model)
    known = loaded.ood_detector
    ways: dict[str, OODDetector | None] = {"off": None}
    for share in quantile or (known.quantile,):
        ways[f"quantile {share:g}"] = known.with_quantile(share)
    groups = {"fresh": fresh_objects(), "named objects": named_objects(root), **kitti_groups(root)}
    return _measure(loaded, groups, ways, threshold)


def _measure(
    model: Clip2Model, groups: dict[str, Group], ways: dict[str, OODDetector | None], threshold: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Group → way of rejecting → figures; ``everywhere but home`` is all clouds of all groups but the first."""
    assert model.text_bank is not None
    bank = model.text_bank
    outcomes: dict[str, dict[str, list[NDArray[np.bool_]]]] = {}
    for name, group in groups.items():
        embeddings, features = model.describe(group.clouds, group.colors)
        scores = zero_shot_classify(embeddings, bank.embeddings, model.log_text_scale.exp().item())
        chosen = scores.argmax(axis=1)
        right = np.array(
            [means_the_same(bank.names[i], truth) for i, truth in zip(chosen, group.truth, strict=True)],
            dtype=bool,
        )
        sure = scores.max(axis=1) >= threshold
        for way, statistics in ways.items():
            named = sure if statistics is None else sure & statistics.is_in_distribution(features)
            for place in (name, *(["everywhere but home"] if name != "fresh" else [])):
                outcomes.setdefault(place, {}).setdefault(way, []).append(np.stack([named, right]))
    return {
        name: {way: answer_shares(*np.concatenate(parts, axis=1)) for way, parts in found.items()}
        for name, found in outcomes.items()
    }


def means_the_same(label: str, truth: tuple[str, ...]) -> bool:
    return bool(_meanings(label) & {meaning for name in truth for meaning in _meanings(name)})


def _meanings(label: str) -> set[str]:
    """The label itself and the categories that it names."""
    label = normalize_label(label)
    return {label, *(name for name in list_categories() if label in (name, *get_category(name).synonyms))}


def fresh_objects() -> Group:
    group = Group()
    for setting, frames in (("room", _ROOMS), ("street", _STREETS)):
        scan = ProceduralScan(setting, frames=frames, worlds=frames, seed=_FRESH_SEED, detector="perfect")
        lifter = create_lifter("auto")
        for i in range(frames):
            frame, detections = scan[i], scan.detections(i)
            world = frame.world_points()
            for found in lifter.lift(frame, detections).objects:
                if np.ptp(world[found.indices], axis=0).any():
                    colors = None if frame.colors is None else frame.colors[found.indices]
                    group.add(world[found.indices], colors, [detections[found.view].labels[found.detection]])
    return group


def named_objects(root: Path) -> Group:
    group = Group()
    with np.load(root / "objects" / "named_objects.npz") as file:
        data = {key: file[key] for key in ("points", "name", "bank_name", "up_axis", "has_colour")}
    for i, values in enumerate(data["points"]):
        turn = T_zup_from(str(data["up_axis"][i]))[:3, :3]
        colors = np.rint(values[:, 3:] * 255).astype(np.uint8) if data["has_colour"][i] else None
        names = [str(data[key][i]) for key in ("name", "bank_name")]
        group.add(values[:, :3] @ turn.T, colors, [name for name in names if name])
    return group


def kitti_groups(root: Path) -> dict[str, Group]:
    things, background = Group(), Group()
    scan = open_scan("kitti", root / "kitti_object")
    for i, id in enumerate(scan.frame_ids()):
        frame, labeled = scan[i], scan.annotations(i)
        assert labeled is not None
        camera = frame.views[0].camera
        regions = list(_dont_care(root, id))
        for index in propose_objects(frame.world_points(), "lidar", frame.T_world_points[:3, 3]).indices:
            points = frame.points[index]
            if not np.ptp(points, axis=0).any():
                continue
            inside = [_share_inside(box, points) for box in labeled.boxes]
            if max(inside, default=0.0) >= _MOSTLY:
                label = labeled.labels[int(np.argmax(inside))]
                things.add(points, None, (label, *_KITTI.get(label, ())))
            elif _is_judged(points, camera, regions):
                background.add(points, None, ())
    return {"kitti things": things, "kitti background": background}


def _share_inside(box: OrientedBox, points: NDArray) -> float:
    return float(box.contains(points).mean())


def _is_judged(points: NDArray, camera: Camera, regions: list[NDArray]) -> bool:
    """Whether the people who labeled the picture had to say if this is a thing."""
    pixels, _ = camera.project(points)
    seen = camera.in_image(pixels)
    if seen.mean() < _MOSTLY:
        return False
    hidden = [((pixels[seen] >= box[:2]) & (pixels[seen] <= box[2:])).all(axis=1).mean() for box in regions]
    return max(hidden, default=0.0) < _MOSTLY


def _dont_care(root: Path, id: str) -> Iterator[NDArray]:
    """Image regions (x0 y0 x1 y1) that hold things nobody labeled."""
    text = (root / "kitti_object" / "training" / "label_2" / f"{id}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("DontCare"):
            yield np.array(line.split()[4:8], dtype=float)


def _print(figures: dict[str, dict[str, dict[str, Any]]]) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("clouds of")
    for column in ("clouds", "rejection", "answered", "right", "nonsense"):
        table.add_column(column, justify="right")
    for name, ways in figures.items():
        for number, (way, found) in enumerate(ways.items()):
            first = (name, str(int(found["clouds"]))) if number == 0 else ("", "")
            shares = (f"{found[column]:.1%}" for column in ("answered", "right", "nonsense"))
            table.add_row(*first, way, *shares)
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
