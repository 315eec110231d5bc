"""Models by name: the catalog of public encoders, and everything that ``clip2.checkpoint`` reads."""

from __future__ import annotations

from pathlib import Path

import torch

from clip2.checkpoint import MINI_POINTS
from clip2.checkpoint import load as load_folder
from clip2.model import Clip2Model
from clip2.pretrained.catalog import CATALOG, RECOMMENDED, find_pretrained
from clip2.pretrained.fetch import cached_folder, converted_file, fetch_pretrained
from data_prep.errors import InputError

AUTO = "auto"
_CHECKPOINT_FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")


def load(source: str | Path, device: str | torch.device = "cpu") -> Clip2Model:
    """Load a model in eval mode. Nothing in its files is executed.

    Args:
        source: a folder or ``local-dir:FOLDER``; ``hf-hub:ORG/NAME`` with an optional ``@REVISION``; a name of
            :func:`clip2.list_pretrained`, which is downloaded and converted at first use; a checkpoint file of one of
            those networks (``model.pt``), which is converted at first use; ``auto``: the recommended one
            of these if it is in the user cache, else ``mini-points``; or ``mini-points``, the small model that ships
            with the package and was trained on one synthetic world.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: CUDA if available.

    Raises:
        InputError: an unknown name, a missing or altered file, a newer format, weights of another encoder, no network
            for a first download, or an unknown device.

    >>> import clip2
    >>> model = clip2.load("mini-points")
    >>> model.teacher.width, len(model.text_bank)
    (128, 73)
    """
    return load_folder(resolve(source), device)


def resolve(source: str | Path) -> str | Path:
    """Folder of a public encoder's name or file, fetched and converted if needed; any other source as :func:`clip2.checkpoint.load` takes it.

    A folder of the same name in the working directory is meant if it exists; ``local-dir:`` says so in any case.

    Raises:
        InputError: a name that is neither a folder nor known; the nearest are named. A file that is missing or of no
            public network.
    """
    name = str(source)
    if name == AUTO:
        return cached_folder(RECOMMENDED) or MINI_POINTS
    path = Path(name).expanduser()
    if ":" not in name and path.suffix in _CHECKPOINT_FILES and not path.is_dir():
        if not path.is_file():
            raise InputError("does not exist", source=path, field="model", fix="check the path")
        return converted_file(path)
    if not isinstance(source, str) or ":" in name or name == MINI_POINTS or Path(name).is_dir():
        return source
    if name in CATALOG:
        return fetch_pretrained(name)
    if "/" in name or "." in name or not name.strip():
        return source  # a path: its reader says what is wrong with it
    try:
        find_pretrained(name)
    except InputError as error:
        raise InputError(
            "is neither a folder nor a public point encoder", source=name, field="model", fix=error.fix
        ) from None
    return source
