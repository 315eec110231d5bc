"""Training images of the synthetic world: single objects in every color, crops of rooms and streets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.scale import create_engine
from data_prep.storage.files import write_atomically
from data_prep.world import (
    ProceduralObject,
    ProceduralScan,
    Setting,
    get_category,
    list_categories,
    make_object,
    random_directions,
    render_object,
)
from data_prep.world.palette import COLORS

SIZE = 64  # pixels, input size of the image tower
VIEWS = 4  # per object; several cost little more than one
CONTEXT = 1.3  # side of an image, as a multiple of the longer side of the box
MIN_PIXELS = 80  # least visible size of a scan object
MAX_HIDDEN = 0.6  # largest occluded share of the outline
FRAMES_PER_WORLD = 4


@dataclass(frozen=True)
class Pictures:
    """N images with their ground truth.

    Attributes:
        images: (N, 64, 64, 3) uint8 RGB, square, with context around the object.
        masks: (N, 64, 8) uint8, rows of bits (``numpy.packbits``): 1 on the object.
        boxes: (N, 4) float32 x0 y0 x1 y1 of the visible object in those pixels.
        category: (N,) int16 row of ``list_categories()``.
        color: (N,) int16 row of ``palette.COLORS``.
        in_scene: (N,) bool, cut out of a room or a street.
        words: N tuples: material, pattern, and phrases about parts.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    category: NDArray[np.int16]
    color: NDArray[np.int16]
    in_scene: NDArray[np.bool_]
    words: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def join(cls, parts: Sequence[Pictures]) -> Pictures:
        """All pictures of all parts, in order."""
        arrays = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "words"
        }
        return cls(words=tuple(words for part in parts for words in part.words), **arrays)

    def save(self, path: Path) -> None:
        """Write to one file, whole or not at all."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        columns["words"] = np.frombuffer(json.dumps(self.words).encode(), np.uint8)

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez(file, **columns)

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path) -> Pictures:
        """Read what :meth:`save` wrote."""
        with np.load(path) as file:
            columns = {name: file[name] for name in file.files}
        words = json.loads(columns.pop("words").tobytes())
        return cls(words=tuple(tuple(row) for row in words), **columns)


def is_held_out(category: str, color: str) -> bool:
    """Whether the teacher never sees this color on this category: one pair in ten, the same ones in every run."""
    return crc32(f"{color} {category}".encode()) % 10 == 0


def draw_objects(
    seed: int | Sequence[int], numbers: Sequence[int], *, held_out: bool | None = False, views: int = VIEWS
) -> Pictures:
    """Render single objects; object ``n`` has category ``n`` modulo the number of categories.

    Args:
        seed: random seed, combined with the object's number.
        numbers: object numbers; an object does not depend on the other numbers.
        held_out: False = only training colors, True = only held-out pairs, None = any.
        views: images per object.
    """
    names, parts = list_categories(), []
    for number in numbers:
        rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), number])
        name = names[number % len(names)]
        natural = [color for color in COLORS if color in get_category(name).colors]
        # Half natural colors, half arbitrary ones, so that category does not follow from color.
        palette = natural if rng.random() < 0.5 else list(COLORS)
        allowed = [color for color in palette if held_out in (None, is_held_out(name, color))]
        allowed = allowed or [color for color in COLORS if held_out in (None, is_held_out(name, color))]
        if not allowed:
            continue
        obj = make_object(name, rng, color=allowed[rng.integers(len(allowed))])
        seen = render_object(obj, random_directions(rng, views), SIZE, rng=rng)
        parts.append(_pictures(seen.crops, seen.masks, [obj] * views, in_scene=False))
    return Pictures.join(parts)


def draw_scene(
    setting: Setting, seed: int, worlds: Sequence[int], *, held_out: bool | None = False
) -> Pictures:
    """Crop every clearly visible object from frames of rooms or streets.

    Args:
        setting: room or street.
        seed: random seed, combined with the world's number.
        worlds: numbers of worlds, ``FRAMES_PER_WORLD`` frames each.
        held_out: as in :func:`draw_objects`.
    """
    images, masks, objects = [], [], []
    for world in worlds:
        scan = ProceduralScan(setting, frames=FRAMES_PER_WORLD, worlds=1, seed=seed + world)
        by_id = {placed.instance: placed.object for placed in scan.objects}
        for index in range(len(scan)):
            view, truth = scan[index].views[0], scan.ground_truth(index).detections[0]
            if len(truth) == 0:
                continue
            assert truth.masks is not None
            for row, track in enumerate(truth.attributes["track_id"]):
                obj = by_id[int(track)]
                hidden = truth.attributes["occluded"][row]
                if truth.attributes["pixels"][row] < MIN_PIXELS or hidden > MAX_HIDDEN:
                    continue
                if held_out not in (None, is_held_out(obj.category, obj.color)):
                    continue
                window = _square(truth.boxes[row])
                images.append(_cut(view.image, *window))
                masks.append(_cut(truth.masks[row].astype(np.uint8), *window) > 0)
                objects.append(obj)
    return _pictures(np.stack(images), np.stack(masks), objects, in_scene=True)


def _pictures(
    images: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    objects: Sequence[ProceduralObject],
    *,
    in_scene: bool,
) -> Pictures:
    visible = np.flatnonzero(masks.reshape(len(masks), -1).any(axis=1))
    images, masks = images[visible], masks[visible]
    objects = [objects[int(row)] for row in visible]
    categories, colors = list_categories(), list(COLORS)
    return Pictures(
        images,
        np.packbits(masks, axis=-1),
        np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4),
        np.array([categories.index(obj.category) for obj in objects], np.int16),
        np.array([colors.index(obj.color) for obj in objects], np.int16),
        np.full(len(objects), in_scene),
        tuple((obj.material, obj.pattern, *obj.features) for obj in objects),
    )


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _square(box: NDArray[np.float32]) -> tuple[int, int, int]:
    """Left, top and side of the square around the box with its context."""
    side = max(float(max(box[2] - box[0], box[3] - box[1])) * CONTEXT, 8.0)
    return round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), round(side)


def _cut(image: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """A square of an image or mask at 64 x 64; outside, an image repeats its edge pixels and a mask is empty."""
    mask = image.ndim == 2
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    inside = np.clip(rows, 0, image.shape[0] - 1)[:, None], np.clip(columns, 0, image.shape[1] - 1)[None]
    square = image[inside]
    if mask:
        square = square * ((inside[0] == rows[:, None]) & (inside[1] == columns[None]))
    how = Image.Resampling.NEAREST if mask else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(square).resize((SIZE, SIZE), how))


@dataclass(frozen=True)
class Pool:
    """Numbers of images to draw, and their folder.

    Attributes:
        folder: one file per part; existing parts are not drawn again.
        objects: single objects, ``VIEWS`` images each.
        rooms, streets: worlds, ``FRAMES_PER_WORLD`` frames each.
        seed: random seed.
    """

    folder: Path
    objects: int = 73 * 960
    rooms: int = 600
    streets: int = 125
    seed: int = 0

    def jobs(self) -> list[tuple[Path, Callable[..., Pictures], tuple[object, ...]]]:
        """File, function and arguments of every part."""
        plans: list[tuple[str, int, int]] = [
            ("object", self.objects, 292),
            ("room", self.rooms, 20),
            ("street", self.streets, 5),
        ]
        jobs: list[tuple[Path, Callable[..., Pictures], tuple[object, ...]]] = []
        for kind, total, step in plans:
            for first in range(0, total, step):
                numbers = range(first, min(first + step, total))
                path = self.folder / f"{kind}-{self.seed}-{first:06d}-{len(numbers)}.npz"
                if kind == "object":
                    jobs.append((path, draw_objects, (self.seed, numbers)))
                else:
                    # Other users of the generator start at small seeds; these seeds do not collide with theirs.
                    jobs.append((path, draw_scene, (kind, 500_000_000 + 1_000_000 * self.seed, numbers)))
        return jobs

    def draw(self, workers: int = 1) -> Iterator[Path]:
        """Draw missing parts; the images do not depend on the number of ``workers``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [job for job in self.jobs() if not job[0].exists()]
        # Scenes first: their parts take longest.
        missing.reverse()
        yield from create_engine(workers=workers).map(_draw_part, missing)

    def load(self) -> Pictures:
        """All images, in the order of the parts."""
        return Pictures.join([Pictures.load(path) for path, _, _ in self.jobs()])


def _draw_part(job: tuple[Path, Callable[..., Pictures], tuple[object, ...]]) -> Path:
    path, draw, arguments = job
    draw(*arguments).save(path)
    return path
