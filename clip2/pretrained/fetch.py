"""Download and conversion of public point encoders: once per machine, into the user cache."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from clip2.checkpoint import CONFIG_FILE, save
from clip2.pretrained.catalog import PretrainedModel, find_pretrained
from clip2.teacher.hub_files import HubFile, hub_cache, not_fetched
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256, require_writable, write_atomically
from data_prep.storage.lock import FolderLock
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.room import megabytes, require_disk, require_memory
from data_prep.storage.urls import cache_root

Tell = Callable[[str], None]


def tell_on_stderr(line: str) -> None:
    """Print a line for people where no result is expected."""
    print(f"clip2: {line}", file=sys.stderr)


def fetch_pretrained(name: str, tell: Tell = tell_on_stderr) -> Path:
    """The folder of a public point encoder, downloaded and converted if it is not in the user cache.

    The conversion is keyed by the digest of the download. Two processes that ask at once fetch once: the second waits.

    Args:
        name: one of :func:`~clip2.pretrained.list_pretrained`.
        tell: called with a line before anything slow: size and license before the download.

    Raises:
        InputError: unknown name, no network, a digest that differs, a broken file, a cache that cannot be written, or
            too little disk or memory.
    """
    entry = find_pretrained(name)
    found = cached_folder(name)
    if found is not None:
        return found
    models = _writable_models()
    with FolderLock(models, f".{name}.lock", wait=True):
        found = cached_folder(name)
        if found is None:
            require_memory(3 * 4 * entry.parameters * 1e6, f"converting {name}")  # before the download
        return found if found is not None else _convert(entry, models, _source_file(entry, tell), tell)


def cached_folder(name: str) -> Path | None:
    """The converted model in the user cache, or None."""
    record = _record(name)
    folder = cache_root() / "models" / str(record.get("folder"))
    return folder if record and (folder / CONFIG_FILE).is_file() else None


def converted_file(path: Path, tell: Tell = tell_on_stderr) -> Path:
    """The folder of a checkpoint file of one of the public networks, converted into the user cache once per content.

    Args:
        path: a published file, or one trained with the authors' code; its tensors tell the network.
        tell: called with a line before the conversion.

    Raises:
        InputError: the weights of a model folder; a broken file, or one of another network; a cache that cannot be
            written; too little disk or memory.
    """
    if (path.parent / CONFIG_FILE).is_file():
        raise InputError("is a part of a model folder", source=path, fix=f"give the folder: {path.parent}")
    models = _writable_models()
    folder = models / f"file-{file_sha256(path)[:12]}"
    with FolderLock(models, f".{folder.name}.lock", wait=True):
        if not (folder / CONFIG_FILE).is_file():
            _write_model(folder, path, str(path), {"source": path.name}, tell)
    return folder


class PlannedFile(NamedTuple):
    """A file that :func:`fetch_pretrained` or a text tower needs.

    Attributes:
        what: for people.
        file: where it lies on huggingface.co.
        size: bytes; None: unknown without a network.
        license: as far as stated.
        here: whether this machine has it.
    """

    what: str
    file: HubFile
    size: int | None
    license: str
    here: bool


def planned_files(entry: PretrainedModel) -> list[PlannedFile]:
    """The files of a model: the point encoder's, and the CLIP weights whose text tower reads labels.

    Raises:
        InputError: open_clip does not know the CLIP model.
    """
    from clip2.pretrained.layouts import SLIP
    from clip2.teacher.open_clip_models import published_repository
    from clip2.teacher.text_tower import WEIGHTS_FILE, kept_tower

    file = HubFile(entry.repository, entry.file, entry.kind, entry.revision)
    size, here = _size_and_presence(file)
    here = here or cached_folder(entry.name) is not None
    files = [PlannedFile("point encoder", file, size or entry.size, entry.license, here)]
    if entry.clip == SLIP:
        in_cache = (kept_tower(SLIP) / WEIGHTS_FILE).is_file()
        return [*files, PlannedFile("text tower, in the same file", file, 0, "SLIP: MIT", in_cache)]
    weights = HubFile(published_repository(entry.clip), WEIGHTS_FILE)
    size, here = _size_and_presence(weights)
    return [*files, PlannedFile(f"CLIP {entry.clip}", weights, size, f"see {weights.url}", here)]


def _size_and_presence(file: HubFile) -> tuple[int | None, bool]:
    cached = file.cached()
    if cached is not None:
        return cached.stat().st_size, True
    try:
        return file.look_up()[0], False
    except OSError:
        return None, False  # the download itself says why


def drop_folder(entry: PretrainedModel) -> Path:
    """Where a machine without a network finds the file of a model, if its user put it there."""
    return cache_root() / "downloads" / entry.name


def _writable_models() -> Path:
    """Folder of converted models in the user cache."""
    models = cache_root() / "models"
    require_writable(models, "CLIP2_CACHE")
    models.mkdir(parents=True, exist_ok=True)
    return models


def _convert(entry: PretrainedModel, models: Path, path: Path, tell: Tell) -> Path:
    digest = file_sha256(path)
    known = entry.sha256 or _record(entry.name).get("sha256")
    if known is not None and digest != known:
        raise InputError(
            f"has the digest {digest[:12]}…, expected {known[:12]}…",
            source=path.resolve(),  # the hub's cache has a link to it, and would make the link again
            field="sha256",
            fix=f"delete the file and run clip2 fetch {entry.name} again",
        )
    folder = models / f"{entry.name}-{digest[:12]}"
    source = {"source": f"{entry.url} {entry.file}", "license": entry.license}
    _write_model(folder, path, entry.name, source, tell)
    record = json.dumps({"folder": folder.name, "sha256": digest, "file": entry.file}) + "\n"
    write_atomically(_record_file(entry.name), lambda target: target.write_text(record, encoding="utf-8"))
    return folder


def _write_model(folder: Path, path: Path, name: str, training: dict[str, str], tell: Tell) -> None:
    """Convert a checkpoint file to a model folder, and keep the text tower that it may carry."""
    from clip2.pretrained.checkpoint_file import read_tensors
    from clip2.pretrained.converters import convert_checkpoint
    from clip2.pretrained.slip import keep_text_tower

    tensors = read_tensors(path)
    size = 4.0 * sum(tensor.numel() for tensor in tensors.values())
    require_memory(3 * size, f"converting {name}")
    require_disk(folder.parent, size, f"the converted {name}")
    tell(f"converting {name}, once")
    model = convert_checkpoint(tensors, source=path)
    keep_text_tower(tensors, model.teacher.name)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch) / "model"
        save(model, made, training=training)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)


def _source_file(entry: PretrainedModel, tell: Tell) -> Path:
    """The published file: put there by hand, in the hub's cache, or downloaded with progress."""
    by_hand = drop_folder(entry) / Path(entry.file).name
    if by_hand.is_file():
        return by_hand
    file = HubFile(entry.repository, entry.file, entry.kind, entry.revision)
    cached = file.cached()
    if cached is not None:
        return cached
    try:
        size = file.look_up()[0] or entry.size
        told = "" if size is None else f", {megabytes(size)}"
        tell(f"{entry.name}: {file.url} {entry.file}{told}; license: {entry.license}")
        if size is not None:
            require_disk(hub_cache(), size, entry.name)
        return file.download()
    except OSError as error:
        raise not_fetched(
            entry.name,
            error,
            f"run clip2 fetch {entry.name} once with a network, or put {by_hand.name} of {file.url} into "
            f"{by_hand.parent}",
        ) from error


def _record_file(name: str) -> Path:
    return cache_root() / "models" / f"{name}.json"


def _record(name: str) -> dict[str, Any]:
    path = _record_file(name)
    if not path.is_file():
        return {}
    try:
        found = parse_json(read_text(path))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
