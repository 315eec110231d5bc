"""Point cache of a triplet folder: memory-mapped float16 coordinates and uint8 colors.

The name of ``TRIPLETS/cache/points-4096-0123456789abcdef/`` holds ``max_points`` and a hash of the shards' SHA-256 sums.
Shards that were mined again get a new cache, and the old one is deleted. Coordinates are relative to the center of the
object's box and divided by a power of two, so that none exceeds 1. Their error is at most a 4096th of the object's size:
0.5 mm for an object of 2 m.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from clip2.training.clouds import Block, Clouds, sample_object
from data_prep.errors import InputError
from data_prep.storage.files import move_durably, require_writable
from data_prep.storage.parsing import parse_json, read_arrays
from data_prep.storage.reading import read_text
from data_prep.triplets import Provenance, Triplet, TripletSet

CACHE, INDEX, POINTS, COLORS, OBJECTS = "cache", "index.json", "points.f16", "colors.u8", "objects.npz"
FORMAT, FORMAT_VERSION = "clip2-points", 1
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class StoredObjects:
    """Points of n objects, unusable ones included.

    Attributes:
        clouds: n objects; unusable ones are empty.
        has_color: (n,) bool.
        frames: (n,) int64; objects of one frame of one scan share a number.
        problems: n reasons why an object is unusable; "" if it is usable.
        triplets: (n,) int64 number of the triplet of each object; single views share that of their whole.
    """

    clouds: Clouds
    has_color: NDArray[np.bool_]
    frames: NDArray[np.int64]
    problems: tuple[str, ...]
    triplets: NDArray[np.int64]


def open_point_cache(
    triplets: TripletSet, max_points: int, progress: Progress | None = None, views: bool = False
) -> StoredObjects:
    """Map the points of a triplet folder; the first call reads the shards and writes the files.

    If several processes call it at the same time, one writes and the others wait. A killed writer leaves only files
    that the next one deletes.

    Args:
        triplets: the folder; the cache of a set at a URL is written beside its features.
        max_points: points kept per object, always the same uniform sample.
        progress: called with the numbers of written and of all triplets.
        views: also the single views of associated objects, each as an object after its whole.

    Raises:
        InputError: the folder cannot be written, or a shard cannot be read.
    """
    identity = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "max_points": max_points,
        "shards": [shard.sha256 for shard in triplets.shards],
        **({"views": True} if views else {}),
    }
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    home = triplets.path / CACHE
    folder = home / f"points-{max_points}-{digest[:16]}"
    found = _load(folder, digest)
    if found is not None:
        return found
    _require_writable(home)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        found = _load(folder, digest)  # another process may have written it meanwhile
        if found is None:
            _write(home, folder, triplets, max_points, {**identity, "digest": digest}, progress)
            found = _load(folder, digest)
    assert found is not None
    return found


def quantize(points: NDArray[np.float32]) -> tuple[NDArray[np.float16], float]:
    """Coordinates (k, 3) of one object as float16 relative to the center of its box, and their scale in meters.

    >>> quantize(np.array([[10.0, 0, 0], [12, 1, 0]], np.float32))
    (array([[-1. , -0.5,  0. ],
           [ 1. ,  0.5,  0. ]], dtype=float16), 1.0)
    """
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    centered = points - (low + high) / 2
    # The points of a small sample may coincide.
    scale = 2.0 ** math.ceil(math.log2(float(np.abs(centered).max()) or 1.0))
    return (centered / scale).astype(np.float16), scale


def _write(
    home: Path,
    folder: Path,
    triplets: TripletSet,
    max_points: int,
    index: dict[str, Any],
    progress: Progress | None,
) -> None:
    for left in (*home.glob(".*.part"), folder):  # left by a killed process, or damaged
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=home, prefix=f".{folder.name}.", suffix=".part"))
    try:
        _fill(scratch, triplets, max_points, index, progress)
        scratch.chmod(0o755)
        move_durably(scratch, folder)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            source=home,
            field="data.cache",
            fix="free some space, or train with --set data.cache=false",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for other in home.glob("points-*"):
        if _shards_of(other) != index["shards"]:
            # Processes that map it keep it; on Windows it then stays until the next time.
            shutil.rmtree(other, ignore_errors=True)


def _fill(
    folder: Path, triplets: TripletSet, max_points: int, index: dict[str, Any], progress: Progress | None
) -> None:
    counts, scales, has_color, frames, problems, whose = [], [], [], [], [], []
    number_of: dict[tuple[Any, Any], int] = {}
    stored = 0
    with (folder / POINTS).open("wb") as points_file, (folder / COLORS).open("wb") as colors_file:
        for number, triplet, (points, colors, problem) in sample_objects(
            triplets, max_points, "views" in index
        ):
            if problem:
                scale = 1.0
            else:
                small, scale = quantize(points)
                points_file.write(small.tobytes())
            if colors is not None:
                # Objects without color are holes in the file: they read as zeros and take no space.
                colors_file.seek(3 * stored)
                colors_file.write(colors.tobytes())
            stored += len(points)
            counts.append(len(points))
            scales.append(scale)
            has_color.append(colors is not None)
            problems.append(problem)
            frames.append(number_of.setdefault(frame_of(triplet.key, triplet.provenance), len(number_of)))
            whose.append(number)
            if progress:
                progress(number + 1, len(triplets))
        if any(has_color):
            colors_file.truncate(3 * stored)
    reasons = sorted(set(problems))
    extra: dict[str, Any] = {"triplets": np.array(whose, np.int64)} if "views" in index else {}
    np.savez(
        folder / OBJECTS,
        count=np.array(counts, np.int64),
        scale=np.array(scales, np.float32),
        has_color=np.array(has_color, bool),
        frames=np.array(frames, np.int64),
        problem=np.array([reasons.index(problem) for problem in problems], np.int64),
        **extra,
    )
    (folder / INDEX).write_text(
        json.dumps({**index, "points": stored, "reasons": reasons}) + "\n", encoding="utf-8"
    )


def frame_of(key: str, provenance: Provenance) -> tuple[str, str]:
    """Source and frame, which the triplets of one frame share."""
    return provenance.source, provenance.frame or key


Sample = tuple[NDArray[np.float32], NDArray[np.uint8] | None, str]


def sample_objects(
    triplets: TripletSet, max_points: int, views: bool
) -> Iterator[tuple[int, Triplet, Sample]]:
    """Number, triplet and sampled cloud of every object, and after an associated one those of its single views."""
    every = (one for shard in triplets.shards for one in triplets.iter_shard(shard.name, crops=False))
    for number, triplet in enumerate(every):
        yield number, triplet, sample_object(triplet.points, triplet.colors, max_points, triplet.key)
        for place, view in enumerate(triplet.views if views else (), start=1):
            if view.points is not None:  # of some views only the crop is kept
                key = f"{triplet.key}.{place}"
                yield number, triplet, sample_object(view.points, view.colors, max_points, key)


def _load(folder: Path, digest: str) -> StoredObjects | None:
    """Objects of a cache; None: it does not exist or is incomplete."""
    try:
        index = parse_json(read_text(folder / INDEX))
        file = read_arrays(folder / OBJECTS)
        count, scale, has_color, frames, problem = (
            file[name] for name in ("count", "scale", "has_color", "frames", "problem")
        )
        whose = file["triplets"] if "views" in index else np.arange(len(count))
        stored, reasons, known = int(index["points"]), index["reasons"], index["digest"]
        whole = len({len(each) for each in (count, scale, has_color, frames, problem, whose)}) == 1
        whole = whole and all(isinstance(reason, str) for reason in reasons)
        whole = whole and all(0 <= row < len(reasons) for row in problem)
        points_bytes, colors_bytes = (os.path.getsize(folder / name) for name in (POINTS, COLORS))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not whole or known != digest or count.sum() != stored or points_bytes != 6 * stored:
        return None
    if colors_bytes != (3 * stored if has_color.any() else 0):
        return None
    block = Block(
        _map(folder / POINTS, np.float16, stored),
        _map(folder / COLORS, np.uint8, stored) if has_color.any() else None,
        digest,
    )
    return StoredObjects(
        Clouds.of_block(block, count, scale),
        has_color,
        frames,
        tuple(reasons[row] for row in problem),
        whose,
    )


def _map(path: Path, dtype: Any, rows: int) -> NDArray:
    if rows == 0:  # an empty file cannot be mapped
        return np.zeros((0, 3), dtype)
    # Copy-on-write: the file is never changed, and torch accepts only writable arrays without a warning.
    return np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="c", shape=(rows, 3))


def _shards_of(folder: Path) -> list[str] | None:
    try:
        return list(parse_json(read_text(folder / INDEX))["shards"])
    except (OSError, ValueError, KeyError):
        return None


def _require_writable(home: Path) -> None:
    try:
        require_writable(home)
    except InputError as error:
        raise InputError(
            error.problem,
            source=error.source,
            field="data.cache",
            fix="make it writable, or train with --set data.cache=false",
        ) from None
