"""Data of the demo: mined folders, one example frame and one scene with ground truth per setting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.world.demo.plan import Plan
from clip2.world.points.data import mine_world
from data_prep.detect import Detections2D
from data_prep.geometry import Camera, invert
from data_prep.lift import create_lifter
from data_prep.scans import Frame, View
from data_prep.storage.files import write_atomically
from data_prep.triplets import Manifest, open_triplets
from data_prep.triplets.mining import Progress
from data_prep.world import ProceduralScan, Setting

NOTHING = -1  # owner of a point outside all detections, instance of wall and ground
_VOXEL = 0.02  # meters, of a room put together from several pictures
# Meters: depth farther away is left out of it. Its noise grows with the square of the distance, and makes walls so thick
# that pieces of them come as objects: reaching 8 m instead of 3.3, half of all objects found in a room were wall.
_REACH = 3.3
_BESIDE = 0.12  # meters between what is searched and its surroundings: nearer, far depth blurs what near depth shows
_OBJECTS_PER_SHARD = 250  # a killed run loses at most this many


@dataclass(frozen=True)
class Example:
    """Example frame with its detections and lifted points.

    Attributes:
        frame: points and the image.
        detections: output of the simulated detector.
        owners: (N,) row of ``detections`` that each point was lifted with, -1 for none.
    """

    frame: Frame
    detections: Detections2D
    owners: NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """A scene to recognize, with its ground truth.

    Attributes:
        frame: its points in the world, with all its images.
        instances: (N,) object that each point lies on, -1 for wall and ground.
        names: instance → label.
        colors: instance → name of its color.
        surroundings: points too far from all cameras to be searched, drawn only; or None.
    """

    frame: Frame
    instances: NDArray[np.int64]
    names: dict[int, str]
    colors: dict[int, str]
    surroundings: Frame | None = None


class SettingFiles:
    """Files of one setting, below the demo's folder."""

    def __init__(self, out: Path, setting: Setting) -> None:
        self.triplets = out / f"triplets-{setting}"
        self.unseen = out / f"unseen-{setting}"
        self.example = out / f"example-{setting}.npz"
        self.scene = out / f"scene-{setting}.npz"

    @property
    def complete(self) -> bool:
        """Whether nothing is left to make."""
        folders = (self.triplets, self.unseen)
        mined = all((f / "manifest.json").is_file() and Manifest.load(f).finished for f in folders)
        return mined and self.example.is_file() and self.scene.is_file()


def frames_to_make(plan: Plan, setting: Setting) -> int:
    """Number of frames that :func:`make_setting` processes."""
    return plan.frames[setting] + plan.unseen_frames[setting] + 1 + plan.views[setting]


def make_setting(
    out: Path, setting: Setting, plan: Plan, on_frame: Callable[[int, str], None] = lambda done, what: None
) -> None:
    """Mine training scenes and unseen scenes, and make what the page shows; existing parts are skipped.

    ``on_frame`` is called with the number of frames done, of :func:`frames_to_make`, and the current activity.
    """
    files = SettingFiles(out, setting)
    done = 0
    training, unseen = plan.training_scan(setting), plan.unseen_scan(setting)
    for folder, scan, what in ((files.triplets, training, "mined"), (files.unseen, unseen, "kept unseen")):

        def report(progress: Progress, before: int = done, what: str = what) -> None:
            on_frame(before + progress.frames, f"{progress.objects} objects {what}")

        mine_world(scan, folder, report, objects_per_shard=_OBJECTS_PER_SHARD)
        done += len(scan)
    if not files.example.is_file():
        save_example(make_example(training, files.triplets), files.example)
    on_frame(done + 1, "one frame to show")
    if not files.scene.is_file():
        scan = plan.scene_scan(setting)
        scene = make_scene(scan, lambda views: on_frame(done + 1 + views, "a scene to recognize"))
        save_scene(scene, files.scene)
    on_frame(done + 1 + plan.views[setting], "done")


def make_example(scan: ProceduralScan, mined: Path) -> Example:
    """The frame of a mined scan with the most objects."""
    counts = Counter(entry.provenance.frame for entry in open_triplets(mined).iter_entries())
    index = scan.frame_ids().index(max(counts, key=lambda name: (counts[name], name)))
    frame, detections = scan[index], scan.detections(index)
    owners = np.full(len(frame.points), NOTHING)
    for lifted in create_lifter("auto").lift(frame, detections).objects:
        owners[lifted.indices] = lifted.detection
    return Example(frame, detections[0], owners)


def make_scene(
    scan: ProceduralScan, on_view: Callable[[int], None] = lambda views: None, numbers: range | None = None
) -> Scene:
    """Frames of one room or street as one cloud; a single frame stays as it is. ``numbers``: of the frames; None: all."""
    from clip2.recognition.fusion import fuse_frames

    frames, instances = [], []
    numbers = range(len(scan)) if numbers is None else numbers
    for done, number in enumerate(numbers, start=1):
        frames.append(scan[number])
        instances.append(scan.ground_truth(number).instances.astype(np.int64))
        on_view(done)
    objects = {placed.instance: placed for placed in scan.world_objects(numbers[0])}
    surroundings = None
    if len(frames) == 1:
        frame, truth = frames[0], instances[0]
    else:
        near = [each.points[:, 2] < _REACH for each in frames]
        clear = [_keep(each, kept) for each, kept in zip(frames, near, strict=True)]
        fused = fuse_frames(clear, _VOXEL)
        # Voxels mix points; each belongs to the object that its nearest measured point lies on.
        measured = np.concatenate([each.world_points() for each in clear])
        _, nearest = cKDTree(measured[::2]).query(fused.world_points())
        truth = np.concatenate([ids[kept] for ids, kept in zip(instances, near, strict=True)])[::2][nearest]
        views = tuple(_moved(view, each, fused) for each in frames for view in each.views)
        frame = replace(fused, views=views)
        whole = fuse_frames(frames, 2 * _VOXEL)
        far, _ = cKDTree(fused.world_points()).query(whole.world_points())
        surroundings = _keep(whole, far > _BESIDE)
    present = [int(i) for i in np.unique(truth) if i >= 0]
    names, colors = {i: objects[i].label for i in present}, {i: objects[i].color for i in present}
    return Scene(frame, truth, names, colors, surroundings)


def save_example(example: Example, path: Path) -> None:
    """Write an example as npz; the file appears whole or not at all."""
    found = example.detections
    _save(path, example.frame, boxes=found.boxes, scores=found.scores, labels=np.array(found.labels, str), owners=example.owners)  # fmt: skip


def load_example(path: Path) -> Example:
    """Read what :func:`save_example` wrote."""
    arrays, frame = _load(path)
    found = Detections2D(arrays["boxes"], arrays["scores"], tuple(arrays["labels"].tolist()))
    return Example(frame, found, arrays["owners"])


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene as npz; the file appears whole or not at all."""
    words = json.dumps([[i, name, scene.colors[i]] for i, name in scene.names.items()])
    more: dict[str, NDArray] = {}
    if (around := scene.surroundings) is not None and around.colors is not None:
        more = {"around": around.world_points(), "around_colors": around.colors}
    _save(path, scene.frame, instances=scene.instances, words=np.array(words), **more)


def load_scene(path: Path) -> Scene:
    """Read what :func:`save_scene` wrote."""
    arrays, frame = _load(path)
    words = json.loads(str(arrays["words"]))
    around = None
    if "around" in arrays:
        around = Frame.build("surroundings", arrays["around"], colors=arrays["around_colors"])
    names, colors = {i: name for i, name, _ in words}, {i: color for i, _, color in words}
    return Scene(frame, arrays["instances"], names, colors, around)


def _keep(frame: Frame, kept: NDArray[np.bool_]) -> Frame:
    """Some points of a frame, without its pictures."""
    colors = None if frame.colors is None else frame.colors[kept]
    return Frame(frame.id, frame.points[kept], frame.T_world_points, (), colors)


def _moved(view: View, frame: Frame, other: Frame) -> View:
    """The same picture, its camera relative to the points of another frame."""
    T = invert(other.T_world_points) @ frame.T_world_points @ view.camera.T_points_cam
    return View(view.name, Camera(view.camera.K, view.camera.width, view.camera.height, T), view.image)


def _save(path: Path, frame: Frame, **more: NDArray) -> None:
    arrays: dict[str, Any] = {
        "id": np.array(frame.id),
        "points": frame.points,
        "T_world_points": frame.T_world_points,
        "names": np.array([view.name for view in frame.views]),
        "images": np.stack([view.image for view in frame.views]),
        "K": np.stack([view.camera.K for view in frame.views]),
        "T_points_cam": np.stack([view.camera.T_points_cam for view in frame.views]),
        **more,
    }
    if frame.colors is not None:
        arrays["colors"] = frame.colors

    def write(scratch: Path) -> None:
        with scratch.open("wb") as file:  # given a name, numpy would add .npz to it
            np.savez(file, **arrays)

    write_atomically(path, write)


def _load(path: Path) -> tuple[dict[str, NDArray], Frame]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    views = tuple(
        View(str(name), Camera(K, image.shape[1], image.shape[0], T), image)
        for name, image, K, T in zip(
            *(arrays[key] for key in ("names", "images", "K", "T_points_cam")), strict=True
        )
    )
    frame = Frame(str(arrays["id"]), arrays["points"], arrays["T_world_points"], views, arrays.get("colors"))
    return arrays, frame
