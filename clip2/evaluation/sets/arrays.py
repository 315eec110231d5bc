"""Object sets stored as arrays: HDF5 re-releases, OpenShape's npy files, and text clouds."""

from __future__ import annotations

import io
import pickle  # with a list of what may be named  # nosec B403
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.class_lists import ClassList, unknown_labels
from clip2.evaluation.objects import Cloud, ObjectSet
from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.extras import require_extra
from data_prep.storage.parsing import parse_json, read_array, read_array_header, read_arrays
from data_prep.storage.reading import open_file, read_file, read_text

# What numpy's own object arrays need. Nothing else that a file names is ever called.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}
Y_UP = "y up, turned by (x, -z, y)"


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays, dicts, lists, strings and numbers; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}")
        return super().find_class(module, name)


def read_npz(
    file: Path, required: Sequence[str], optional: Sequence[str] = (), most_times: int = 100
) -> dict[str, NDArray]:
    """Arrays of an npz file by name, without executing anything in it; ``most_times`` its size when unpacked.

    Raises:
        InputError: it is no npz file, is cut short, or lacks a required array.
    """
    try:
        arrays = read_arrays(file, names=(*required, *optional), most_times=most_times)
    except (OSError, ValueError) as error:
        raise InputError(f"is not a readable npz file ({error})", source=file, fix="copy it again") from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}", source=file, fix=f"store {', '.join(required)}")
    return arrays


def read_object_npy(path: Path) -> Any:
    """Content of an npy file that holds dicts of arrays, as OpenShape stores them; nothing in it is executed.

    Raises:
        InputError: it is no npy file, or holds more than arrays, dicts, lists, strings and numbers.
    """
    try:
        with open_file(path) as file:
            _, _, dtype = read_array_header(file)
            if not dtype.hasobject:
                return read_array(path)
            content = _ArraysOnly(io.BytesIO(file.read())).load()
    except (
        OSError,
        MemoryError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
        TokenError,
        pickle.UnpicklingError,
    ) as error:
        raise InputError(
            f"is not a readable npy file of arrays ({error})", source=path, fix="copy it again"
        ) from error
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content


@dataclass(frozen=True, eq=False)
class ArrayClouds:
    """Clouds of one array or list, whose colors may be None; ``y_up`` ones are turned."""

    points: Any
    colors: Any
    y_up: bool

    def __call__(self, index: int) -> Cloud:
        points = np.asarray(self.points[index], np.float32)[:, :3]
        colors = None if self.colors is None else self.colors[index]
        colors = None if colors is None else _as_bytes(np.asarray(colors))
        return Cloud(to_z_up(points) if self.y_up else points, colors)


def to_z_up(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """(n, 3) with y up to z up by a proper rotation."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def read_h5(
    files: Sequence[Path], name: str, classes: ClassList, y_up: bool, points: int | None = None
) -> ObjectSet:
    """``data`` (M, n, 3) and ``label`` (M,) of HDF5 files, one after the other.

    Raises:
        InputError: h5py is not installed, a file cannot be read, or lacks one of the two.
    """
    h5py = require_extra("h5py", "eval", needed_for=f"{name} in HDF5")
    parts, labels = [], []
    for path in files:
        try:
            with h5py.File(path, "r") as file:
                parts.append(np.asarray(file["data"], np.float32))
                labels.append(np.asarray(file["label"], np.int64).reshape(-1))
        except (OSError, KeyError) as error:
            raise InputError(
                f"is not an HDF5 file with data and label ({error})", source=path, fix="copy it again"
            ) from error
    data, targets = np.concatenate(parts), np.concatenate(labels)
    return _set(name, classes, targets, ArrayClouds(data, None, y_up), y_up, points)


def read_openshape_modelnet(folder: Path, classes: ClassList, y_up: bool) -> ObjectSet:
    """``test_pc.npy`` with ``test_split.json``: a list of {xyz, rgb} and one of {name, category}."""
    clouds = read_object_npy(folder / "test_pc.npy")
    split = _json_list(folder / "test_split.json")
    if len(split) != len(clouds):
        raise InputError(
            f"lists {len(split)} shapes, test_pc.npy holds {len(clouds)}", source=folder / "test_split.json"
        )
    numbers = [classes.number(str(row["category"])) for row in split]
    strange = [str(row["category"]) for row, number in zip(split, numbers, strict=True) if number is None]
    if strange:
        raise unknown_labels(strange, classes, str(folder / "test_split.json"))
    # Its rgb is a constant gray of 100 that stands for "no color", so it is not read.
    load = ArrayClouds([cloud["xyz"] for cloud in clouds], None, y_up)
    return _set("modelnet40", classes, np.array(numbers, np.int64), load, y_up, 10_000)


def read_openshape_scanobjectnn(path: Path, classes: ClassList, y_up: bool) -> ObjectSet:
    """``xyz_label.npy``: a dict of ``xyz`` and ``label``."""
    record = read_object_npy(path)
    if not isinstance(record, dict) or not {"xyz", "label"} <= set(record):
        raise InputError(
            "is not a dict with xyz and label", source=path, fix="give OpenShape's xyz_label.npy"
        )
    targets = np.asarray(record["label"], np.int64).reshape(-1)
    return _set(
        "scanobjectnn-openshape", classes, targets, ArrayClouds(record["xyz"], None, y_up), y_up, None
    )


def read_lvis(root: Path, y_up: bool) -> ObjectSet:
    """``split/lvis.json``: a list of {uid, category, data_path}; each npy holds ``xyz`` and ``rgb`` in 0..1.

    ``data_path`` is looked up below ROOT, also without its leading folders.
    """
    file = lvis_file(root)
    assert file is not None
    split = _json_list(file)
    labels = tuple(sorted({str(row["category"]) for row in split}))
    number = {label: i for i, label in enumerate(labels)}
    targets = np.array([number[str(row["category"])] for row in split], np.int64)
    load = _LvisFiles(root, tuple(str(row["data_path"]) for row in split), y_up)
    classes = ClassList(labels, f"categories of {file.name}")
    return _set("objaverse-lvis", classes, targets, load, y_up, 10_000, colored=True)


def lvis_file(root: Path) -> Path | None:
    """OpenShape's list of LVIS objects at or below ROOT; None: there is none."""
    places = (root / "lvis.json", root / "split" / "lvis.json", root / "meta_data" / "split" / "lvis.json")
    return next((path for path in places if path.is_file()), None)


@dataclass(frozen=True)
class _LvisFiles:
    root: Path
    paths: tuple[str, ...]
    y_up: bool

    def __call__(self, index: int) -> Cloud:
        parts = Path(self.paths[index]).parts
        places = [
            self.root.joinpath(*parts[start:]) for start in range(len(parts)) if ".." not in parts[start:]
        ]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise InputError(
                f"has no {self.paths[index]}", source=self.root, fix="unpack the Objaverse clouds there"
            )
        record = read_object_npy(path)
        return ArrayClouds([record["xyz"]], [record["rgb"]] if "rgb" in record else None, self.y_up)(0)


def read_shapenetpart(root: Path, split: str, classes: ClassList) -> ObjectSet:
    """ShapeNetPart text clouds ``SYNSET/ID.txt`` listed by ``train_test_split/shuffled_SPLIT_file_list.json``."""
    listed = _json_list(root / "train_test_split" / f"shuffled_{split}_file_list.json")
    paths = [root.joinpath(*Path(str(name)).parts[-2:]).with_suffix(".txt") for name in listed]
    numbers = [classes.number(path.parent.name) for path in paths]
    strange = [path.parent.name for path, number in zip(paths, numbers, strict=True) if number is None]
    if strange:
        raise unknown_labels(strange, classes, str(root))
    return _set("shapenetpart", classes, np.array(numbers, np.int64), _TextClouds(tuple(paths)), True, None)


@dataclass(frozen=True)
class _TextClouds:
    paths: tuple[Path, ...]

    def __call__(self, index: int) -> Cloud:
        try:
            rows = np.loadtxt(read_text(self.paths[index]).splitlines(), dtype=np.float32, ndmin=2)
        except (OSError, ValueError) as error:
            raise InputError(
                f"is not a text cloud ({error})", source=self.paths[index], fix="copy it again"
            ) from error
        return Cloud(to_z_up(rows[:, :3]))


def _set(
    name: str, classes: ClassList, targets: NDArray[np.int64], load: Any, y_up: bool, points: int | None,
    colored: bool = False,
) -> ObjectSet:  # fmt: skip
    return ObjectSet(
        name=name,
        labels=classes.labels,
        targets=targets,
        names=tuple(str(number) for number in range(len(targets))),
        load=load,
        axes=Y_UP if y_up else "z up, not turned",
        colored=colored,
        points=points,
        synonyms=dict(classes.synonyms),
        source=classes.source,
    )


def _json_list(path: Path) -> list[Any]:
    try:
        rows = parse_json(read_file(path))
    except (OSError, ValueError) as error:
        raise BadDatasetError(f"is not readable JSON ({error})", source=path, fix="copy it again") from error
    if not isinstance(rows, list):
        raise BadDatasetError("is not a list", source=path, fix="copy it again")
    return rows


def _as_bytes(colors: NDArray) -> NDArray[np.uint8]:
    scaled = colors * 255 if colors.dtype.kind == "f" and colors.max(initial=0) <= 1 else colors
    rounded: NDArray[np.uint8] = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return rounded
