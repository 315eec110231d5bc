"""Map folders: objects as JSON for everybody, arrays as npz, a PLY and a page to look at."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.mapping.map_object import MapObject, State
from clip2.mapping.motion import ConstantVelocity
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json, read_arrays
from data_prep.storage.reading import read_text
from data_prep.storage.versioned import FileFormat

FORMAT = FileFormat("clip2-map", 1)
DOCUMENT, CLOUD, PAGE = "map.json", "objects.ply", "index.html"
_STATES: tuple[State, ...] = ("tentative", "confirmed", "lost")
# Numbers of an object, one row per object each; the clouds and histories have one row per point and entry.
_SCALARS = ("first_seen", "last_seen", "belief", "objectness", "moves", "strangeness", "voxel")
_COUNTS = ("id", "frames", "looks", "best_points", "unseen", "overlooked", "absorbed")
_PLACES = ("viewpoint", "encoded_from")

# What a process that was killed before the document leaves.
_UNFINISHED = re.compile(rf"objects-[0-9a-f]+\.npz|{re.escape(CLOUD)}|{re.escape(PAGE)}|\..*\.part")


def holds_other_files(folder: Path) -> bool:
    """Whether a folder holds anything but a map, whole or begun."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return DOCUMENT not in names and not all(map(_UNFINISHED.fullmatch, names))


def write_map(
    folder: Path, objects: Sequence[MapObject], facts: dict[str, Any], names: dict[int, tuple[str, float]]
) -> None:
    """Write ``map.json`` and its arrays; a killed process leaves the old map or the new one, never half of each.

    Args:
        folder: must exist.
        objects: all objects.
        facts: of the map: model, width, frames and so on.
        names: id → label and score of the objects that have one.

    Raises:
        InputError: the folder cannot be written.
    """
    data = io.BytesIO()
    np.savez(data, **_arrays(objects, facts["width"]))  # type: ignore[arg-type]
    # The document names the arrays by their content: it is what makes a new map the map.
    name = f"objects-{sha256(data.getbuffer()).hexdigest()[:12]}.npz"
    write_atomically(folder / name, lambda scratch: scratch.write_bytes(data.getbuffer()))
    document = {
        **FORMAT.header,
        "axes": "world, z up, right-handed",
        "unit": "meter",
        **facts,
        "arrays": name,
        "objects": [_entry(one, *names.get(one.id, (None, 0.0))) for one in objects],
    }
    text = json.dumps(document, allow_nan=False)
    write_atomically(folder / DOCUMENT, lambda scratch: scratch.write_text(text, encoding="utf-8"))
    for old in folder.glob("objects-*.npz"):
        if old.name != name:
            old.unlink(missing_ok=True)


def read_map(folder: Path) -> tuple[list[MapObject], dict[str, Any]]:
    """The objects and the facts of a map folder.

    Raises:
        InputError: no map, one of another version, or a damaged one.
    """
    path = folder / DOCUMENT
    try:
        document = parse_json(read_text(path))
    except FileNotFoundError:
        raise InputError("holds no map", source=folder, fix="give a folder that clip2 map wrote") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", source=path, fix="make the map again") from error
    FORMAT.require(document, path, fix="give a folder that clip2 map wrote")
    try:
        arrays = folder / str(document["arrays"])
        columns = read_arrays(arrays)
        votes = [entry["votes"] for entry in document["objects"]]
        objects = _objects(columns, votes, document["width"])
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"is damaged ({error!r})", source=path, fix="make the map again") from error
    return objects, {key: value for key, value in document.items() if key != "objects"}


def write_ply(path: Path, clouds: Sequence[NDArray], colors: NDArray[np.uint8], ids: Sequence[int]) -> None:
    """Write clouds as a binary PLY with one color and the id of the object at every vertex.

    Args:
        path: file.
        clouds: N arrays (m, 3) meters.
        colors: (N, 3).
        ids: N.
    """
    counts = [len(cloud) for cloud in clouds]
    vertices = np.empty(sum(counts), [("xyz", "<f8", 3), ("rgb", "u1", 3), ("instance", "<i4")])
    vertices["xyz"] = np.concatenate([np.zeros((0, 3)), *clouds])
    vertices["rgb"], vertices["instance"] = np.repeat(colors, counts, axis=0), np.repeat(ids, counts)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty int instance\nend_header\n"
    )
    write_atomically(path, lambda scratch: scratch.write_bytes(header.encode() + vertices.tobytes()))


def _entry(one: MapObject, label: str | None, score: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "label": label,
        "score": round(float(score), 4),
        "center": [round(v, 4) for v in one.box[:3].tolist()],
        "size": [round(v, 4) for v in one.box[3:6].tolist()],
        "yaw": round(float(one.box[6]), 4),
        "moving": one.moving,
        "velocity": [round(v, 3) for v in one.motion.velocity.tolist()],
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
        "frames": one.frames,
        "votes": {label: round(weight, 4) for label, weight in one.votes.items()},
        "num_points": len(one.cloud),
    }


def _arrays(objects: Sequence[MapObject], width: int) -> dict[str, NDArray]:
    nowhere = np.full(3, np.nan)
    history = [entry for one in objects for entry in one.history]
    plain = [np.zeros((len(one.cloud), 3), np.uint8) if one.colors is None else one.colors for one in objects]
    columns: dict[str, NDArray] = {
        **{name: np.array([getattr(one, name) for one in objects], np.float64) for name in _SCALARS},
        **{name: np.array([getattr(one, name) for one in objects], np.int64) for name in _COUNTS},
        **{
            name: np.array([nowhere if getattr(one, name) is None else getattr(one, name) for one in objects])
            for name in _PLACES
        },
        "state": np.array([_STATES.index(one.state) for one in objects], np.uint8),
        "origin": np.array([one.origin for one in objects]),
        "box": np.array([one.box for one in objects]),
        "place": np.array([one.motion.place for one in objects]),
        "velocity": np.array([one.motion.velocity for one in objects]),
        "covariance": np.array([one.motion.covariance for one in objects]),
        "scale": np.array([one.motion.scale for one in objects]),
        "embedding": np.array(
            [np.full(width, np.nan) if one.embedding is None else one.embedding for one in objects],
            np.float32,
        ).reshape(-1, width),
        "points": np.concatenate([np.zeros((0, 3), np.float32), *(one.cloud for one in objects)]),
        "colors": np.concatenate([np.zeros((0, 3), np.uint8), *plain]),
        "colored": np.array([one.colors is not None for one in objects], bool),
        "num_points": np.array([len(one.cloud) for one in objects], np.int64),
        "history_frame": np.array([number for number, _, _ in history], np.int64),
        "history_box": np.array([box for _, box, _ in history], np.float64).reshape(-1, 7),
        "history_state": np.array([_STATES.index(state) for _, _, state in history], np.uint8),
        "num_history": np.array([len(one.history) for one in objects], np.int64),
    }
    return columns


def _objects(
    columns: dict[str, NDArray], votes: Sequence[dict[str, float]], width: object
) -> list[MapObject]:
    count = len(columns["id"])
    if columns["embedding"].shape != (count, width):
        raise ValueError(f"embeddings of shape {columns['embedding'].shape}")
    if len(votes) != count:
        raise ValueError(f"{len(votes)} objects, arrays of {count}")
    points, past = (np.cumsum(np.concatenate([[0], columns[name]])) for name in ("num_points", "num_history"))
    if points[-1] != len(columns["points"]) or past[-1] != len(columns["history_frame"]):
        raise ValueError("rows of points or history are missing")
    objects = []
    for i in range(count):
        cloud = slice(points[i], points[i + 1])
        motion = ConstantVelocity(columns["place"][i], 1.0, float(columns["scale"][i]))
        motion.velocity, motion.covariance = columns["velocity"][i].copy(), columns["covariance"][i].copy()
        embedding = columns["embedding"][i]
        one = MapObject(
            cloud=columns["points"][cloud].copy(),
            origin=columns["origin"][i].copy(),
            colors=columns["colors"][cloud].copy() if columns["colored"][i] else None,
            box=columns["box"][i].copy(),
            motion=motion,
            state=_STATES[columns["state"][i]],
            embedding=None if np.isnan(embedding).any() else embedding.copy(),
            votes=dict(votes[i]),
            history=[
                (
                    int(columns["history_frame"][k]),
                    columns["history_box"][k],
                    _STATES[columns["history_state"][k]],
                )
                for k in range(past[i], past[i + 1])
            ],
            **{name: int(columns[name][i]) for name in _COUNTS},  # type: ignore[arg-type]
            **{name: float(columns[name][i]) for name in _SCALARS},  # type: ignore[arg-type]
        )
        for name in _PLACES:
            place = columns[name][i]
            setattr(one, name, None if np.isnan(place).any() else place.copy())
        objects.append(one)
    return objects
