"""Synthetic world as a scan: rendered on demand, with exact ground truth, equal on every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.detect.coco_format import save_coco
from data_prep.errors import InputError
from data_prep.geometry import Camera, OrientedBox, invert, rigid
from data_prep.scans.frame import Annotations3D, Frame, View
from data_prep.scans.scan import Scan
from data_prep.scans.sources import register_source
from data_prep.world.cities import build_city
from data_prep.world.detector import get_profile, simulate_detector
from data_prep.world.objects import get_category, list_categories
from data_prep.world.rooms import Room, build_room
from data_prep.world.sensors import (
    DEPTH_CAMERAS,
    LIDARS,
    Lidar,
    Photo,
    ProceduralTruth,
    take_photo,
    true_detections,
)
from data_prep.world.streets import Street, build_street
from data_prep.world.tabletops import build_tabletop
from data_prep.world.world import PlacedObject

SETTINGS = ("room", "street", "tabletop", "city")
_DRIVEN = ("street", "city")  # settings that a vehicle passes with a LiDAR
_BUILDERS: dict[str, Callable[..., Room | Street]] = {
    "room": build_room,
    "street": build_street,
    "tabletop": build_tabletop,
    "city": build_city,
}
MOST_FRAMES = 1_000_000  # the number in an id has six digits
MOST_WORLDS = 200_000  # instance ids are 32-bit numbers
MOST_PER_WORLD = (
    1_000  # frames: a street of twice as many takes minutes to lay out and runs out of instance ids
)
IMAGE_SIDES = (16, 8192)  # pixels
MOST_ASSEMBLIES = 40  # per world: more than this may not find a place
PER_WORLD = 10_000  # instance ids of one world
APART = 1_000.0  # meters between the worlds of one scan
SENSOR_HEIGHT = 1.8  # meters of LiDAR and cameras above the road
HEADINGS = {"front": 0.0, "left": 90.0, "back": 180.0, "right": -90.0}  # degrees counter-clockwise
_IMAGE_SIZES = {"room": (320, 240), "street": (640, 360), "tabletop": (320, 240), "city": (640, 360)}
_ASSEMBLY_STREAM = 0xA55E  # apart from the purposes of a frame's randomness
_FIELDS_OF_VIEW = {"room": 64.0, "street": 82.0, "tabletop": 64.0, "city": 82.0}  # degrees, horizontal


@dataclass(frozen=True)
class _Observation:
    frame: Frame
    truth: ProceduralTruth


@register_source("procedural")
class ProceduralScan(Scan):
    """Rooms and table tops seen by an RGB-D camera, or streets and cities seen by a spinning LiDAR and cameras.

    Cities are busier streets: riders, vans and trees of many shapes, groups of people, rows of barriers, and hedges, fences,
    walls and facades as background with labels. The bundled models were not trained on them.

    Rooms and table tops: points are the unprojected depth in camera axes. Streets: points are in LiDAR axes, x forward, y left,
    z up. A scan pickles small; worlds are built again where it is unpickled, bit for bit.

    Args:
        root: its last path part names the setting: ``room``, ``street``, ``tabletop`` or ``city``; nothing is read from disk.
        frames: number of frames, spread evenly over the worlds.
        seed: source of everything random.
        worlds: number of different rooms, streets or table tops.
        assemblies: nameless things (:func:`make_assembly`) put into each world besides; everybody calls them
            ``object``. The world's other objects are the same with and without them.
        noise: False = perfect sensors.
        detector: name of the detector that :meth:`detections` and :meth:`save_detections` imitate; None = perfect.
        image_size: width and height in pixels; None = 640x360 in streets, 320x240 elsewhere.
        cameras: which of front, left, back, right look out of the vehicle; streets only.
        lidar: the LiDAR; streets and cities only.
        beams: 16, 32, 64 or 128: the LiDAR by its number of beams (``LIDARS``); None: 48, evenly spread.
        boxed_background: also detect the pieces of background that have a label (hedges, facades); cities only. Their track
            ids are negative.
        depth_camera: name of the depth camera's noise: ``white``, ``kinect_v1``, ``kinect_v2``, ``realsense``; rooms and
            table tops only.

    Raises:
        InputError: an unknown setting, camera or detector, or numbers that are not positive.
    """

    source = "procedural"
    simulates_detector = True

    def __init__(
        self,
        root: str | Path,
        frames: int = 8,
        seed: int = 0,
        *,
        worlds: int = 1,
        assemblies: int = 0,
        noise: bool = True,
        detector: str | None = None,
        image_size: tuple[int, int] | None = None,
        cameras: tuple[str, ...] = ("front",),
        lidar: Lidar | None = None,
        beams: int | None = None,
        boxed_background: bool = False,
        depth_camera: str = "white",
    ) -> None:
        self.root = Path(root)
        self.setting = self.root.name
        if self.setting not in SETTINGS:
            raise InputError(
                f"{str(root)!r} is unknown", field="root", fix=f"end it in one of {', '.join(SETTINGS)}"
            )
        _require_within("frames", frames, 1, MOST_FRAMES)
        _require_within("worlds", worlds, 1, min(frames, MOST_WORLDS))
        if frames > worlds * MOST_PER_WORLD:
            raise InputError(
                f"is {frames}, for {worlds} worlds of at most {MOST_PER_WORLD} each",
                field="frames",
                fix=f"give worlds={-(-frames // MOST_PER_WORLD)} or more",
            )
        _require_within("assemblies", assemblies, 0, MOST_ASSEMBLIES)
        for side in image_size or ():
            _require_within("image_size", side, *IMAGE_SIDES)
        if seed < 0:
            raise InputError(f"is {seed}", field="seed", fix="give 0 or more")
        if not cameras or not set(cameras) <= set(HEADINGS):
            raise InputError(
                f"{cameras} is unknown", field="cameras", fix=f"choose among {', '.join(HEADINGS)}"
            )
        if depth_camera not in DEPTH_CAMERAS:
            raise InputError(
                f"is {depth_camera!r}", field="depth_camera", fix=f"use one of {', '.join(DEPTH_CAMERAS)}"
            )
        self.depth_camera = depth_camera
        self.frames, self.seed, self.worlds, self.noise = frames, seed, worlds, noise
        self.assemblies = assemblies
        self.detector = detector or "perfect"
        get_profile(self.detector)
        self.image_size = image_size or _IMAGE_SIZES[self.setting]
        if beams is not None and beams not in LIDARS:
            raise InputError(f"is {beams}", field="beams", fix=f"use one of {', '.join(map(str, LIDARS))}")
        self.cameras, self.boxed_background = tuple(cameras), boxed_background
        self.lidar = lidar or (Lidar() if beams is None else LIDARS[beams])
        self._moves: dict[int, NDArray[np.float64] | None] = {}
        self._places: dict[int, Room | Street] = {}
        self._latest: tuple[int, _Observation] | None = None

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> Frame:
        """Render one frame."""
        return self._observe(index).frame

    def frame_ids(self) -> list[str]:
        """Ids of all frames: setting, seed and number."""
        return [self._frame_id(index) for index in range(len(self))]

    @property
    def objects(self) -> tuple[PlacedObject, ...]:
        """Every object of every world; builds them all."""
        return tuple(o for k in range(self.worlds) for o in self._objects_of(k))

    def world_objects(self, index: int) -> tuple[PlacedObject, ...]:
        """Every object of the world that a frame shows a part of."""
        return self._objects_of(self._world_of(index))

    def rearranged(self, moves: Mapping[int, NDArray[np.float64] | None]) -> ProceduralScan:
        """The same scan after somebody moved things: same path, same sensors.

        Args:
            moves: instance → (4, 4) transform in its own room, street or table top; None: taken away.
        """
        other = copy(self)
        other._moves, other._places, other._latest = dict(moves), {}, None
        return other

    def image_names(self) -> list[str]:
        """Names of all views, without rendering them."""
        folders = self.cameras if self.setting in _DRIVEN else ("color",)
        return [f"{folder}/{frame_id}.png" for frame_id in self.frame_ids() for folder in folders]

    def detections(self, index: int, detector: str | None = None) -> tuple[Detections2D, ...]:
        """Simulated detections of every view of a frame.

        Args:
            index: number of the frame.
            detector: name of a profile (``perfect``, ``good``, ``weak``); None = the scan's.
        """
        profile = get_profile(detector or self.detector)
        index = range(len(self))[index]
        truth, labels = self.ground_truth(index).detections, self._categories()
        if profile == get_profile("perfect"):
            return truth
        return tuple(
            simulate_detector(view, *self.image_size, profile, labels, self._random(index, 2 + number))
            for number, view in enumerate(truth)
        )

    def save_detections(self, path: str | Path, detector: str | None = None) -> None:
        """Write the detections of all frames as COCO JSON, masks included.

        Args:
            path: the JSON file.
            detector: name of a profile; None = the scan's.
        """
        name = detector or self.detector
        views = [view for index in range(len(self)) for view in self.detections(index, name)]
        source = "gt" if name == "perfect" else "simulated"
        save_coco(
            path,
            {image: (*self.image_size, view) for image, view in zip(self.image_names(), views, strict=True)},
            info={
                "source": source,
                "description": f"procedural {self.setting}, seed {self.seed}, detector {name}",
            },
        )

    def ground_truth(self, index: int) -> ProceduralTruth:
        """Exact instances per point and exact detections per view."""
        return self._observe(index).truth

    def annotations(self, index: int) -> Annotations3D:
        """Boxes of the objects that at least one point lies on, in the frame of the points.

        Attributes are ``track_id`` (the instance), ``num_points``, and the shares 0..1 ``occluded`` and
        ``truncated`` in the view that shows most of the object (1 and 0 where no view shows it). 2D boxes are in
        :meth:`ground_truth`.
        """
        observed = self._observe(index)
        T_points_world = invert(observed.frame.T_world_points)
        ids, counts = np.unique(observed.truth.instances, return_counts=True)
        points_of = {int(i): int(n) for i, n in zip(ids, counts, strict=True) if i >= 0}
        best: dict[int, tuple[int, float, float]] = {}
        for view in observed.truth.detections:
            if len(view) == 0:
                continue
            columns = (view.attributes[name] for name in ("track_id", "pixels", "occluded", "truncated"))
            for track, pixels, occluded, truncated in zip(*columns, strict=True):
                if pixels > best.get(int(track), (0, 1.0, 0.0))[0]:
                    best[int(track)] = (int(pixels), float(occluded), float(truncated))
        seen = [o for o in self.world_objects(index) if o.instance in points_of]
        hidden = [best.get(o.instance, (0, 1.0, 0.0)) for o in seen]
        boxes: tuple[OrientedBox, ...] = tuple(o.box.transformed(T_points_world) for o in seen)
        return Annotations3D(
            boxes=boxes,
            labels=tuple(o.label for o in seen),
            attributes={
                "track_id": np.array([o.instance for o in seen], np.int64),
                "num_points": np.array([points_of[o.instance] for o in seen], np.int64),
                "occluded": np.array([h[1] for h in hidden]),
                "truncated": np.array([h[2] for h in hidden]),
            },
        )

    def world_of(self, index: int) -> str:
        """Name of the room, street or table top a frame is in."""
        return f"{self.setting} {self._world_of(index)}"

    def _categories(self) -> list[str]:
        names = list_categories("street" if self.setting in _DRIVEN else "room")
        if self.setting == "city":
            names = sorted({get_category(name).label for name in names + list_categories("city")})
        return names

    def _frame_id(self, index: int) -> str:
        return f"{self.setting}-{self.seed:04d}-{index:06d}"

    def _world_of(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return (index % len(self)) * self.worlds // len(self)

    def _frames_of(self, world: int) -> range:
        first, end = (-(-k * len(self) // self.worlds) for k in (world, world + 1))
        return range(first, end)

    def _place(self, world: int) -> Room | Street:
        if world not in self._places:
            rng = np.random.default_rng([self.seed, SETTINGS.index(self.setting), world])
            build = _BUILDERS[self.setting]
            count = len(self._frames_of(world))
            # Each has its own stream: the first ones are the same however many there are.
            nameless = [
                np.random.default_rng([self.seed, SETTINGS.index(self.setting), world, _ASSEMBLY_STREAM, k])
                for k in range(self.assemblies)
            ]
            place = build(rng, count, world * PER_WORLD, nameless)
            if self._moves:
                place = replace(place, world=place.world.rearranged(self._moves))
            self._places = {world: place}
        return self._places[world]

    def _objects_of(self, world: int) -> tuple[PlacedObject, ...]:
        return tuple(o.moved(_T_world_place(world)) for o in self._place(world).world.objects)

    def _observe(self, index: int) -> _Observation:
        world = self._world_of(index)
        index %= len(self)
        if self._latest is None or self._latest[0] != index:
            place, number = self._place(world), index - self._frames_of(world)[0]
            rng = self._random(index, 1)
            observe = self._observe_room if isinstance(place, Room) else self._observe_street
            # Rays are cast about the place's own origin: far from it, 32 bits would not tell a mug from its table.
            observed = observe(place, number, index, rng)  # type: ignore[arg-type]
            T = _T_world_place(world) @ observed.frame.T_world_points
            self._latest = (index, replace(observed, frame=replace(observed.frame, T_world_points=T)))
        return self._latest[1]

    def _random(self, index: int, purpose: int) -> np.random.Generator:
        """Randomness of one frame, the same in whatever order frames are asked for."""
        return np.random.default_rng([self.seed, SETTINGS.index(self.setting), index, purpose])

    def _camera(self, T_points_cam: NDArray[np.float64]) -> Camera:
        width, height = self.image_size
        focal = width / 2 / np.tan(np.deg2rad(_FIELDS_OF_VIEW[self.setting] / 2))
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return Camera(K, width, height, T_points_cam)

    def _observe_room(self, room: Room, number: int, index: int, rng: np.random.Generator) -> _Observation:
        camera, T_world_points = self._camera(np.eye(4)), room.T_world_cams[number]
        photo = take_photo(room.world, camera, T_world_points)
        depth = photo.depth
        if self.noise:
            camera_noise = DEPTH_CAMERAS[self.depth_camera]
            depth = camera_noise.apply(photo.depth, photo.cosine, rng, float(camera.K[0, 0]))
        points, pixels = camera.unproject(depth)
        frame_id, image = self._frame_id(index), self._expose(photo, rng)
        frame = Frame(
            id=frame_id,
            points=points,
            T_world_points=T_world_points,
            views=(View(f"color/{frame_id}.png", camera, image),),
            colors=image.reshape(-1, 3)[pixels],
            depth=depth,
            timestamp=index / 10,
        )
        truth = ProceduralTruth(
            instances=photo.owner.reshape(-1)[pixels],
            detections=(true_detections(room.world.objects, photo.owner, camera, T_world_points),),
        )
        return _Observation(frame, truth)

    def _observe_street(
        self, street: Street, number: int, index: int, rng: np.random.Generator
    ) -> _Observation:
        T_world_points = street.T_world_vehicles[number] @ rigid(translation=(0, 0, SENSOR_HEIGHT))
        points, intensity, pieces = self.lidar.sweep(street.world, T_world_points, rng, self.noise)
        boxed = street.world.objects + street.world.background * self.boxed_background
        frame_id, views, detections = self._frame_id(index), [], []
        for name in self.cameras:
            heading = np.deg2rad(HEADINGS[name])
            c, s = np.cos(heading), np.sin(heading)
            # Columns: the camera's right, down and forward in sensor axes.
            rotation = np.array([[s, 0, c], [-c, 0, s], [0, -1, 0]])
            camera = self._camera(rigid(rotation, (0.3 * c, 0.3 * s, -0.25)))
            photo = take_photo(street.world, camera, T_world_points)
            views.append(View(f"{name}/{frame_id}.png", camera, self._expose(photo, rng)))
            detections.append(true_detections(boxed, photo.owner, camera, T_world_points))
        frame = Frame(
            id=frame_id,
            points=points,
            T_world_points=T_world_points,
            views=tuple(views),
            intensity=intensity,
            timestamp=index / 10,
        )
        truth = ProceduralTruth(np.maximum(pieces, -1), tuple(detections), _background_of(street, pieces))
        return _Observation(frame, truth)

    def _expose(self, photo: Photo, rng: np.random.Generator) -> NDArray[np.uint8]:
        if not self.noise:
            return photo.image
        grain = 2 * rng.standard_normal((*photo.image.shape[:2], 1), np.float32)
        return np.clip(np.rint(photo.image + grain), 0, 255).astype(np.uint8)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_places": {}, "_latest": None}


def _background_of(street: Street, pieces: NDArray[np.int32]) -> NDArray[np.str_]:
    """(N,) label of the background at each point, empty where there is none."""
    ids = {piece.instance: piece.label for piece in street.world.background}
    found, which = np.unique(pieces, return_inverse=True)
    return np.array([ids.get(int(i), "") for i in found], dtype="U16")[which]


def _T_world_place(world: int) -> NDArray[np.float64]:
    return rigid(translation=(0.0, world * APART, 0.0))


def _require_within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(f"is {value}", field=field, fix=f"give {least} to {most}")
