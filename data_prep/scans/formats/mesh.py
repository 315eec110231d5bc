"""Mesh sampling: points drawn evenly from the surface of a mesh file."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.records import RawCloud
from data_prep.scans.formats.text import unreadable
from data_prep.storage.extras import require_extra

MESH_SUFFIXES = (".obj", ".off", ".stl", ".gltf", ".glb", ".dae", ".3mf")
# Libraries that trimesh reads these formats with.
_LIBRARIES = {".dae": "collada", ".3mf": "lxml"}

# What trimesh's parsers raise for files that are not what their name says.
_PARSER_ERRORS = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, NotImplementedError,
    struct.error, EOFError, NameError, ArithmeticError,
)  # fmt: skip


def mesh_up(path: Path) -> str:
    """The axis of a mesh or cloud file that points up: y in glTF and, unless it says otherwise, in COLLADA; else z."""
    suffix = path.suffix.lower()
    if suffix == ".dae":
        try:
            stated = re.search(rb"<up_axis>\s*([XYZ])_UP", path.read_bytes())
        except OSError as error:
            raise unreadable(path, "mesh", error) from error
        return stated[1].decode().lower() if stated else "y"
    return "y" if suffix in (".glb", ".gltf") else "z"


def sample_mesh(path: Path, count: int, seed: int) -> RawCloud:
    """Sample ``count`` points uniformly by area.

    A file that states its unit (COLLADA, 3MF) is converted to meters. Colors come from vertex or face colors, the texture, or the material, as the file has them. Where one part
    has none, or an OBJ's material file is not beside it, the cloud has none: no gray is made up.

    Raises:
        InputError: the library that the format needs is not installed.
        BadFrameError: unreadable, no faces, or no finite area.
    """
    if library := _LIBRARIES.get(path.suffix.lower()):
        require_extra(library, "mesh", needed_for=str(path))
    try:
        scene = trimesh.load_scene(path, process=False)
        unit = 1.0 if scene.units is None else trimesh.units.unit_conversion(scene.units, "meters")
        parts = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
        areas = np.array([part.area for part in parts])
    except _PARSER_ERRORS as error:
        raise unreadable(path, "mesh", error) from error
    if not parts:
        raise BadFrameError(
            "holds no faces", source=path, field="faces", fix="save points without faces as .ply or .xyz"
        )
    if not np.isfinite(areas).all() or areas.sum() <= 0:
        raise BadFrameError(
            f"has an area of {areas.sum():.3g}", source=path, field="faces", fix="remove broken vertices"
        )
    random = np.random.default_rng(seed)
    materials_known = path.suffix.lower() != ".obj" or _has_materials(path)
    points, colors = [], []
    for part, share in zip(parts, random.multinomial(count, areas / areas.sum()), strict=True):
        if share == 0:
            continue
        try:
            spots, faces = trimesh.sample.sample_surface(part, share, seed=int(random.integers(2**31)))[:2]
            points.append(np.asarray(spots, dtype=np.float64))
            colors.append(
                _colors_at(part, points[-1], faces) if materials_known or _is_painted(part) else None
            )
        except _PARSER_ERRORS as error:
            raise unreadable(path, "mesh", error) from error
    known = [color for color in colors if color is not None]
    return RawCloud(
        np.concatenate(points) * unit, np.concatenate(known) if len(known) == len(colors) else None
    )


def _is_painted(part: trimesh.Trimesh) -> bool:
    visual: Any = part.visual
    return visual.kind in ("vertex", "face")


def _colors_at(part: trimesh.Trimesh, points: NDArray, faces: NDArray) -> NDArray[np.uint8] | None:
    """(n, 3) uint8 at ``points`` on ``faces``; None where the file gives no color."""
    visual: Any = part.visual
    if visual.kind == "face":
        return visual.face_colors[faces, :3]
    weights = trimesh.triangles.points_to_barycentric(part.triangles[faces], points)[:, :, None]
    if visual.kind == "vertex":
        corners = visual.vertex_colors[part.faces[faces], :3]
        return np.rint((corners * weights).sum(axis=1)).clip(0, 255).astype(np.uint8)
    if visual.kind != "texture":
        return None
    material = visual.material
    if isinstance(material, trimesh.visual.material.PBRMaterial):
        # glTF 2.0: color is factor times texture, and white where neither is given, which says nothing.
        texture, factor = material.baseColorTexture, material.baseColorFactor
        if texture is None and factor is None:
            return None
        tint = np.ones(3) if factor is None else np.asarray(factor[:3], dtype=np.float64) / 255
    else:
        texture, tint = material.image, np.asarray(material.diffuse[:3], dtype=np.float64) / 255
        if texture is not None:
            tint = np.ones(3)
    if texture is None or visual.uv is None:
        return np.rint(np.tile(tint * 255, (len(points), 1))).astype(np.uint8)
    uv = (visual.uv[part.faces[faces]] * weights).sum(axis=1)
    texels = trimesh.visual.color.uv_to_interpolated_color(uv, texture.convert("RGBA"))
    return np.rint(texels[:, :3] * tint).clip(0, 255).astype(np.uint8)


def _has_materials(path: Path) -> bool:
    """Whether the material file that an OBJ names is beside it."""
    with path.open(errors="replace") as lines:
        names = [line.split(maxsplit=1)[1].strip() for line in lines if line.startswith("mtllib ")]
    return bool(names) and all((path.parent / name).is_file() for name in names)
