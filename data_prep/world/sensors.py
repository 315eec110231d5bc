"""What a depth camera, a color camera and a spinning LiDAR measure in a world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera
from data_prep.world.surface import Hits
from data_prep.world.truth import pixel_rays
from data_prep.world.world import World


@dataclass(frozen=True)
class Photo:
    """One exposure.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 meters along z, exact, 0 = nothing there.
        owner: (H, W) int32 instance ids, -1 = background.
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
        owner=world.owners(hits.face).reshape(shape),
        cosine=slant.reshape(shape),
    )


@dataclass(frozen=True)
class DepthNoise:
    """A structured-light depth camera; defaults follow Nguyen, Izadi and Lovell (3DIMPVT 2012) for the first Kinect.

    Attributes:
        floor, growth: standard deviation along z is floor + growth (z - 0.4)², meters.
        edge: relative jump to a neighboring pixel above which a pixel lies on an edge.
        edge_loss: chance that an edge pixel has no measurement.
        slant_loss: cosine between ray and surface below which there is no measurement.
        reach: meters, nearest and farthest measurement.
    """

    floor: float = 0.0012
    growth: float = 0.0019
    edge: float = 0.04
    edge_loss: float = 0.75
    slant_loss: float = 0.12
    reach: tuple[float, float] = (0.35, 8.0)

    def apply(
        self, depth: NDArray[np.float32], cosine: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """(H, W) depths as the camera reports them, 0 = no measurement."""
        noisy = depth + (self.floor + self.growth * np.square(depth - 0.4)) * rng.standard_normal(
            depth.shape, np.float32
        )
        jump = np.zeros_like(depth)
        for axis in (0, 1):
            step = np.abs(np.diff(depth, axis=axis))
            before = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
            after = [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)]
            jump = np.maximum(jump, np.maximum(np.pad(step, before), np.pad(step, after)))
        lost = (jump > self.edge * depth) & (rng.random(depth.shape, np.float32) < self.edge_loss)
        lost |= (cosine < self.slant_loss) | (depth < self.reach[0]) | (depth > self.reach[1])
        return np.where(lost, 0, noisy).astype(np.float32)


@dataclass(frozen=True)
class Lidar:
    """A spinning LiDAR; defaults are of the class of a 32-beam sensor.

    Attributes:
        rings: number of beams; low, high: their elevations in degrees, evenly spread.
        steps: shots per turn.
        sigma: meters, standard deviation of a range.
        reach: meters, nearest and farthest return.
        loss: chance that any return is dropped; weak ones (far, dark, at a slant) are dropped more often.
    """

    rings: int = 48
    low: float = -24.0
    high: float = 6.0
    steps: int = 1200
    sigma: float = 0.015
    reach: tuple[float, float] = (1.2, 80.0)
    loss: float = 0.02

    def sweep(
        self, world: World, T_world_sensor: NDArray[np.float64], rng: np.random.Generator, noise: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """One turn.

        Returns:
            points (N, 3) float32 in the sensor's axes (x forward, y left, z up), intensity (N,) 0..1, instances (N,).
        """
        elevation = np.deg2rad(np.linspace(self.low, self.high, self.rings))[:, None]
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
        return points, strength[kept].astype(np.float32), world.owners(hits.face)[kept]

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
