"""``manifest.json``: what a triplet folder says about itself."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, computed_field

from data_prep.errors import BadDatasetError
from data_prep.storage.parsing import parse_json
from data_prep.storage.store import Store, open_store
from data_prep.storage.versioned import FileFormat

MANIFEST = "manifest.json"
FORMAT = FileFormat("clip2-triplets", 1)


class Shard(BaseModel):
    """One tar file.

    Attributes:
        name: file name inside the folder.
        count: triplets in it.
        bytes: file size.
        sha256: of the whole file.
        first_frame, last_frame: ids of the frames its first and last triplet come from.
        last_key: key of its last triplet.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    count: int
    bytes: int
    sha256: str
    first_frame: str
    last_frame: str
    last_key: str


class BadFrame(BaseModel):
    """A frame that could not be used, and the one-line reason."""

    model_config = ConfigDict(frozen=True)

    frame: str
    error: str


class Manifest(BaseModel):
    """Contents of ``manifest.json``. It holds no clock time, so equal runs give equal bytes.

    Attributes:
        format, version: name and version of the folder format.
        software: package and version that began the set.
        versions: of Python and of the packages that the bytes depend on, when the set was begun.
        source, root: reader and folder of the scan; ``root`` is None for sets not mined from frames.
        options: everything else that decides the result, nested mappings allowed.
        config_hash: SHA-256 of source, root and options.
        finished: False while the set is being written.
        frames_done: frames covered so far, counting those without objects and the bad ones.
        shards: whole shards, in order.
        rejections: number of detections that gave no object, by reason.
        merged: detections that joined an object beyond its first; 0 where every detection is an object of its own.
        bad_frames: frames that were skipped.
        thinned_frames: frames not mined because they show nothing new, by reason.
        skipped_detections: entries of the detection file that could not be used, by reason.
        categories: labels of the detector's vocabulary, if known.
        is_ground_truth: the 2D boxes are labels, not a detector's; None = not known.
    """

    format: str = FORMAT.name
    version: int = FORMAT.version
    software: str = Field(default_factory=lambda: software_version())
    versions: dict[str, str] = Field(default_factory=dict)
    source: str
    root: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    config_hash: str = ""
    finished: bool = False
    frames_done: int = 0
    shards: list[Shard] = Field(default_factory=list)
    # Called `refusals` until 0.1.0.
    rejections: dict[str, int] = Field(
        default_factory=dict, validation_alias=AliasChoices("rejections", "refusals")
    )
    merged: int = 0
    bad_frames: list[BadFrame] = Field(default_factory=list)
    thinned_frames: dict[str, int] = Field(default_factory=dict)
    skipped_detections: dict[str, int] = Field(default_factory=dict)
    categories: list[str] | None = None
    is_ground_truth: bool | None = None

    def model_post_init(self, _context: object) -> None:
        """Fill the hash in, so that it is never forgotten."""
        if not self.config_hash:
            self.config_hash = config_hash(self.source, self.root, self.options)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def totals(self) -> dict[str, int]:
        """Objects, rejected detections, frames covered, bad frames and bytes."""
        return {
            "objects": sum(shard.count for shard in self.shards),
            "rejected": sum(self.rejections.values()),
            "frames": self.frames_done,
            "bad_frames": len(self.bad_frames),
            "bytes": sum(shard.bytes for shard in self.shards),
        }

    @classmethod
    def load(cls, folder: str | Path | Store, name: str = MANIFEST) -> Manifest:
        """Read a folder's manifest.

        Args:
            folder: path, URL or store of the set.
            name: of the file; the parts of a split set have their own.

        Raises:
            BadDatasetError: there is none, it cannot be read, or a newer version of the format wrote it.
        """
        store = open_store(folder) if isinstance(folder, str | Path) else folder
        where = f"{store.place}/{name}"
        unreadable: tuple[type[BaseException], ...] = (*store.error_types(), ValueError)
        try:
            record = parse_json(store.read(name))
        except FileNotFoundError:
            raise _no_manifest(store, name) from None
        except unreadable as error:
            raise BadDatasetError(
                f"cannot be read ({error!r})",
                source=where,
                fix="restore it from a copy, or mine the set again",
            ) from None
        FORMAT.require(record, where, fix="give a folder that clip2 prep wrote", error=BadDatasetError)
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadDatasetError(
                f"{first['msg']}",
                source=where,
                field=".".join(map(str, first["loc"])),
                fix="restore it from a copy, or mine the set again",
            ) from None

    def save(self, store: Store, name: str = MANIFEST) -> None:
        """Replace the folder's manifest in one step: readers see the old one or the new one, never a part."""
        record = {**self.model_dump(mode="json", exclude={"shards"}), "shards": []}
        text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        # There may be 100,000 shards: Python's encoder takes ten times as long for them as pydantic's.
        shards = ",\n  ".join(shard.model_dump_json() for shard in self.shards)
        if shards:
            text = text.replace('\n "shards": []', f'\n "shards": [\n  {shards}\n ]')
        store.write(name, text.encode("utf-8"))


def config_hash(source: str, root: str | None, options: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides the contents of a set."""
    text = json.dumps([source, root, options], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def differing_options(old: Manifest, new: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """Names and both values of everything that makes two configurations differ; nested names are dotted."""
    before = {"source": old.source, "root": old.root, **_flat(old.options)}
    after = {"source": new.source, "root": new.root, **_flat(new.options)}
    absent = "(not set)"
    for name in sorted({*before, *after}):
        if before.get(name, absent) != after.get(name, absent):
            yield name, before.get(name, absent), after.get(name, absent)


def software_version() -> str:
    """``clip2 X.Y.Z`` as installed."""
    try:
        return f"clip2 {version('clip2')}"
    except PackageNotFoundError:
        return "clip2 (source tree)"


def versions_here() -> dict[str, str]:
    """Python, and the packages that decide points, crops and their encoding."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "pillow")},
    }


def _no_manifest(store: Store, name: str) -> BadDatasetError:
    names = store.sizes()
    split = sorted(other for other in names if other.endswith(f"-{MANIFEST}"))
    if split and name == MANIFEST:
        return BadDatasetError(
            f"is split and not whole yet: it holds {len(split)} parts like {split[0]}",
            source=store.place,
            fix="run `clip2 prep` with the other parts; the last to finish makes the set whole",
        )
    there = names or (store.sweeps and store.derived.is_dir())
    problem = f"is not a triplet folder: it has no {name}" if there else "does not exist"
    return BadDatasetError(problem, source=store.place, fix="make one with `clip2 prep`")


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
