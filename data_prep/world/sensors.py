"""Simulated sensors: depth and color camera, spinning LiDAR, and the exact ground truth of each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from data_prep.detect import Detections2D
from data_prep.geometry import Camera, box_to_image, invert
from data_prep.world.surface import Hits
from data_prep.world.world import PlacedObject, World

MIN_PIXELS = 12  # an object of which less is visible has no 2D box
SAMPLES = 20_000  # rays per object and view at most when its whole outline is measured


@dataclass(frozen=True)
class ProceduralTruth:
    """Exact answers for one frame.

    Attributes:
        instances: (N,) int32 instance id of every point of the frame, -1 = background.
        detections: per view, the visible objects: boxes around their visible pixels, outer edges as in COCO (the
            whole image is 0 0 W H), masks of those pixels, labels, scores of 1; attributes ``track_id`` (instance), ``occluded`` and ``truncated`` (shares 0..1),
            ``pixels`` (visible area).
        background: (N,) str, the label of the background a point lies on (``hedge``, ``building``); empty on objects and
            on background without a label, as the ground. Cities only.
    """

    instances: NDArray[np.int32]
    detections: tuple[Detections2D, ...]
    background: NDArray[np.str_] | None = None


def pixel_rays(
    camera: Camera, T_world_points: NDArray[np.float64], u: NDArray, v: NDArray
) -> NDArray[np.float32]:
    """World rays (R, 6) through pixels ``u``, ``v`` (R,); directions have z = 1 in the camera, so distances are depths."""
    T = T_world_points @ camera.T_points_cam
    x = ((np.asarray(u) - camera.K[0, 2]) / camera.K[0, 0]).astype(np.float32)
    y = ((np.asarray(v) - camera.K[1, 2]) / camera.K[1, 1]).astype(np.float32)
    rotation = T[:3, :3].astype(np.float32)
    rays = np.empty((len(x), 6), np.float32)
    rays[:, :3] = T[:3, 3]
    for axis in range(3):  # by columns: a matrix product this thin spends its time in thread start-up
        rays[:, 3 + axis] = x * rotation[axis, 0] + y * rotation[axis, 1] + rotation[axis, 2]
    return rays


def true_detections(
    objects: tuple[PlacedObject, ...],
    owner: NDArray[np.int32],
    camera: Camera,
    T_world_points: NDArray[np.float64],
) -> Detections2D:
    """The perfect detector.

    Args:
        objects: everything that may be seen.
        owner: (H, W) int32 instance id of every pixel, -1 = background, below: a piece of background.
        camera: the camera that sees ``owner``.
        T_world_points: (4, 4) pose of the frame that ``camera`` is relative to.
    """
    by_id = {placed.instance: placed for placed in objects}
    ids, counts = np.unique(owner, return_counts=True)
    kept = [(int(i), int(n)) for i, n in zip(ids, counts, strict=True) if n >= MIN_PIXELS and int(i) in by_id]
    if not kept:
        return Detections2D.empty()
    masks = np.stack([owner == i for i, _ in kept])
    boxes = []
    for mask in masks:
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    hidden = np.array(
        [_hidden(by_id[i], mask, camera, T_world_points) for (i, _), mask in zip(kept, masks, strict=True)]
    )
    return Detections2D(
        boxes=np.array(boxes, np.float32),
        scores=np.ones(len(kept), np.float32),
        labels=tuple(by_id[i].label for i, _ in kept),
        ids=np.arange(len(kept)),
        masks=masks,
        attributes={
            "track_id": np.array([i for i, _ in kept]),
            "occluded": hidden[:, 0],
            "truncated": hidden[:, 1],
            "pixels": np.array([n for _, n in kept]),
        },
    )


def _hidden(
    placed: PlacedObject, visible: NDArray[np.bool_], camera: Camera, T_world_points: NDArray[np.float64]
) -> tuple[float, float]:
    """Share of the object's outline inside the image that others hide, and share of it that lies outside the image."""
    T_points_world = invert(T_world_points)
    box = box_to_image(placed.box.transformed(T_points_world), camera, clip=False)
    if box is None:
        return 0.0, 0.0
    # Something half behind the camera has no finite outline: three image sizes around count as all of it.
    size = np.array([camera.width, camera.height] * 2)
    low, high = np.array([-3, -3, -3, -3]) * size, np.array([4, 4, 4, 4]) * size
    x0, y0, x1, y1 = np.clip(box, low, high)
    stride = max(1, int(np.ceil(np.sqrt((x1 - x0 + 1) * (y1 - y0 + 1) / SAMPLES))))
    columns, rows = np.arange(np.floor(x0), x1 + 1, stride), np.arange(np.floor(y0), y1 + 1, stride)
    u, v = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    alone = placed.tracer.cast(pixel_rays(camera, T_world_points, u, v)).face >= 0
    inside = alone & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    whole, within = int(alone.sum()), int(inside.sum())
    if within == 0:
        return 0.0, 0.0
    seen = visible[v[inside].astype(int), u[inside].astype(int)]
    return 1 - float(seen.mean()), 1 - within / whole


@dataclass(frozen=True)
class Photo:
    """One exposure.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 meters along z, exact, 0 = nothing there.
        owner: (H, W) int32 instance ids, -1 = background, below: ids of its pieces.
        cosine: (H, W) float32 between ray and surface.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    owner: NDArray[np.int32]
    cosine: NDArray[np.float32]


def take_photo(world: World, camera: Camera, T_world_points: NDArray[np.float64]) -> Photo:
    """Render one view; distortion-free cameras only."""
    shape = (camera.height, camera.width)
    v, u = np.divmod(np.arange(camera.height * camera.width), camera.width)
    rays = pixel_rays(camera, T_world_points, u, v)
    hits = world.tracer.cast(rays)
    colors, rows, cosine = world.tracer.shade(rays, hits, world.light)
    image = np.empty((len(rays), 3), np.float32)
    image[rows] = colors
    open_sky = np.flatnonzero(hits.face < 0)
    direction = rays[open_sky, 3:]
    up = direction[:, 2] / np.sqrt((direction**2).sum(axis=1))
    horizon, zenith = np.asarray(world.sky, np.float32)
    image[open_sky] = horizon + (zenith - horizon) * np.clip(up, 0, 1)[:, None] ** 0.6
    slant = np.zeros(len(rays), np.float32)
    slant[rows] = cosine
    return Photo(
        image=np.rint(image * 255).astype(np.uint8).reshape(*shape, 3),
        depth=np.where(hits.face >= 0, hits.distance, 0).astype(np.float32).reshape(shape),
        owner=world.pieces(hits.face).reshape(shape),
        cosine=slant.reshape(shape),
    )


@dataclass(frozen=True)
class DepthNoise:
    """Noise of a depth camera; the defaults, white noise, follow Nguyen, Izadi and Lovell (3DIMPVT 2012) for the first
    Kinect.

    Attributes:
        floor, growth: standard deviation along z is floor + growth (z - 0.4)², meters.
        slant: by how much the deviation grows where a surface is seen at a slant: 1 + slant (1 / cosine - 1).
        smooth: pixels over which the noise is alike; 0 = white.
        step: 1 / depth is rounded to multiples of it, 1/m, as a camera that measures disparity does; 0 = not rounded.
        edge: relative jump to a neighboring pixel above which a pixel lies on an edge.
        edge_loss: chance that an edge pixel has no measurement.
        flying: chance that an edge pixel lies between front and back.
        shadow: meters between camera and projector: what the projector does not reach has no measurement; 0 = none.
        slant_loss: cosine between ray and surface below which there is no measurement.
        reach: meters, nearest and farthest measurement.
    """

    floor: float = 0.0012
    growth: float = 0.0019
    slant: float = 0.0
    smooth: float = 0.0
    step: float = 0.0
    edge: float = 0.04
    edge_loss: float = 0.75
    flying: float = 0.0
    shadow: float = 0.0
    slant_loss: float = 0.12
    reach: tuple[float, float] = (0.35, 8.0)

    def apply(
        self,
        depth: NDArray[np.float32],
        cosine: NDArray[np.float32],
        rng: np.random.Generator,
        focal: float = 0.0,
    ) -> NDArray[np.float32]:
        """(H, W) depths as the camera reports them, 0 = no measurement.

        Args:
            depth: (H, W) exact, meters; 0 = nothing there.
            cosine: (H, W) between ray and surface.
            rng: source of the noise.
            focal: focal length in pixels, for the projector's shadow.
        """
        noise = rng.standard_normal(depth.shape, np.float32)
        if self.smooth > 0:
            noise = gaussian_filter(noise, self.smooth)
            noise /= noise.std()
        deviation = self.floor + self.growth * np.square(depth - 0.4)
        if self.slant > 0:
            deviation = deviation * (1 + self.slant * (1 / np.maximum(cosine, 0.1) - 1))
        noisy = depth + deviation * noise
        jump, far = np.zeros_like(depth), depth.copy()
        for axis in (0, 1):
            step = np.abs(np.diff(depth, axis=axis))
            before = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
            after = [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)]
            jump = np.maximum(jump, np.maximum(np.pad(step, before), np.pad(step, after)))
            for shift in (-1, 1) if self.flying > 0 else ():
                far = np.maximum(far, np.roll(depth, shift, axis))
        on_edge = jump > self.edge * depth
        lost = on_edge & (rng.random(depth.shape, np.float32) < self.edge_loss)
        if self.flying > 0:
            flies = on_edge & ~lost & (far > 0) & (rng.random(depth.shape, np.float32) < self.flying)
            noisy = np.where(flies, noisy + (far - depth) * rng.random(depth.shape, np.float32), noisy)
        if self.step > 0:
            levels = np.maximum(np.round(1 / (np.maximum(noisy, 0.05) * self.step)), 1)
            noisy = 1 / (levels * self.step)
        if self.shadow > 0 and focal > 0:
            lost |= _in_shadow(depth, self.shadow * focal)
        lost |= (cosine < self.slant_loss) | (depth < self.reach[0]) | (depth > self.reach[1])
        return np.where(lost, 0, noisy).astype(np.float32)


# Fitted to real frames: `python -m benchmarks.depth_noise DATA` prints the same figures for both. Residual to planes over
# 7 x 7 pixels, head on, in millimeters at 0.6-1.2, 1.2-2, 2-3 and 3-4.5 m (real → synthetic room):
#   kinect_v1: 1.0 2.7 4.7 8.3 (7-Scenes), 1.0 2.3 4.5 9.8 (TUM) → 0.8 3.0 5.0 10.1; step at 1 m 3.0 → 2.8; holes 0.11 → 0.08
#   kinect_v2: 3.7 5.4 5.8 4.7 (SUN kv2, one frame) → 3.3 4.3 5.6 9.7: too noisy beyond 3 m
#   realsense: 0.5 at 0.6-1.2 m (GraspNet, one frame) → 1.0: twice too noisy; holes 0.11 → 0.13 on table tops
#   white: 1.5 4.6 8.6 20.2: twice the noise of a real Kinect; kept as it is, because data sets were made with it
DEPTH_CAMERAS = {
    "white": DepthNoise(),
    "kinect_v1": DepthNoise(
        0.0008, 0.0008, slant=0.5, smooth=1.5, step=0.0029, flying=0.15, shadow=0.075, slant_loss=0.2
    ),
    "kinect_v2": DepthNoise(
        0.004, 0.0008, slant=0.3, smooth=1.0, edge_loss=0.3, flying=0.5, slant_loss=0.2, reach=(0.3, 4.5)
    ),
    "realsense": DepthNoise(
        0.0022,
        0.006,
        slant=0.3,
        smooth=2.5,
        edge_loss=0.4,
        flying=0.4,
        shadow=0.05,
        slant_loss=0.15,
        reach=(0.2, 6.0),
    ),
}


def _in_shadow(depth: NDArray[np.float32], baseline: float) -> NDArray[np.bool_]:
    """(H, W) True where something nearer hides a pixel from a projector ``baseline`` pixel meters to the right."""
    column = np.arange(depth.shape[1], dtype=np.float32)
    seen = np.where(depth > 0, column - baseline / np.maximum(depth, 0.1), np.inf)
    first = np.minimum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(depth.shape, bool)
    hidden[:, :-1] = seen[:, :-1] > first[:, 1:] + 0.5
    return hidden & (depth > 0)


@dataclass(frozen=True)
class Lidar:
    """A spinning LiDAR; defaults are of the class of a 32-beam sensor. :data:`LIDARS` holds those of data sets.

    Attributes:
        rings: number of beams; low, high: their elevations in degrees, evenly spread.
        steps: shots per turn.
        sigma: meters, standard deviation of a range.
        reach: meters, nearest and farthest return.
        loss: chance that any return is dropped; weak ones (far, dark, at a slant) are dropped more often.
        elevations: degrees, where beams are not evenly spread; replaces ``rings``, ``low`` and ``high``.
    """

    rings: int = 48
    low: float = -24.0
    high: float = 6.0
    steps: int = 1200
    sigma: float = 0.015
    reach: tuple[float, float] = (1.2, 80.0)
    loss: float = 0.02
    elevations: tuple[float, ...] = ()

    def sweep(
        self, world: World, T_world_sensor: NDArray[np.float64], rng: np.random.Generator, noise: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """One turn.

        Returns:
            points (N, 3) float32 in the sensor's axes (x forward, y left, z up), intensity (N,) 0..1, instances (N,): below
            -1 the ids of pieces of background.
        """
        beams = self.elevations or np.linspace(self.low, self.high, self.rings)
        elevation = np.deg2rad(beams)[:, None]
        azimuth = np.linspace(np.pi, -np.pi, self.steps, endpoint=False)[None]
        direction = np.stack(
            np.broadcast_arrays(
                np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
            ),
            axis=-1,
        ).reshape(-1, 3)
        rays = np.empty((len(direction), 6), np.float32)
        rays[:, :3] = T_world_sensor[:3, 3]
        rays[:, 3:] = direction @ T_world_sensor[:3, :3].T
        hits = world.tracer.cast(rays)
        strength = self._strength(world, rays, hits)
        distance = hits.distance.astype(np.float64)
        kept = (hits.face >= 0) & (distance > self.reach[0]) & (distance < self.reach[1])
        if noise:
            kept &= rng.random(len(rays)) > self.loss + 0.5 * np.exp(-strength * 25)
            distance = distance + self.sigma * rng.standard_normal(len(rays))
            strength = np.clip(strength + 0.02 * rng.standard_normal(len(rays)), 0, 1)
        points = (direction[kept] * distance[kept, None]).astype(np.float32)
        return points, strength[kept].astype(np.float32), world.pieces(hits.face)[kept]

    def _strength(self, world: World, rays: NDArray[np.float32], hits: Hits) -> NDArray[np.float64]:
        """(R,) how much light comes back, 0..1: albedo times cosine, fading with range."""
        rows = np.flatnonzero(hits.face >= 0)
        face = hits.face[rows]
        normal = world.surface.normals[face].mean(axis=1)
        cosine = np.abs(np.einsum("ij,ij->i", normal, rays[rows, 3:]))
        strength = np.zeros(len(rays))
        albedo = world.surface.a[face].mean(axis=1)
        strength[rows] = albedo * cosine / (1 + np.square(hits.distance[rows] / 40.0))
        return strength


# Number of beams → a sensor with so many, from its data sheet: VLP-16 and HDL-32E (nuScenes), HDL-64E (KITTI: two
# blocks of 32, 1/3° apart above, 1/2° below), OS1-128. Shots per turn as in their data sets.
LIDARS: dict[int, Lidar] = {
    16: Lidar(16, -15.0, 15.0, 1800, 0.02, (0.9, 100.0)),
    32: Lidar(32, -30.67, 10.67, 1084, 0.015, (0.9, 80.0)),
    64: Lidar(
        steps=1900,
        sigma=0.015,
        reach=(1.2, 120.0),
        elevations=(
            *np.linspace(-24.33, -8.83, 32).tolist(),
            *np.linspace(-8.33, 2.0, 32).tolist(),
        ),
    ),
    128: Lidar(128, -22.5, 22.5, 1024, 0.02, (0.8, 120.0)),
}
