"""``mini``: a small stand-in for CLIP that ships with the package and knows only the embedded world."""

from __future__ import annotations

import json
from pathlib import Path

from data_prep.errors import InputError
from data_prep.storage.files import file_sha256

NAME = "mini"
FOLDER = Path(__file__).parents[1] / "weights" / "mini"


def shipped_folder() -> Path:
    """Where config and weights are, after comparing the weights with the checksum in the config.

    Raises:
        InputError: they are not there, or not the ones that belong together.
    """
    config = FOLDER / "open_clip_config.json"
    if not config.is_file():
        raise InputError("is missing", source=config, fix="reinstall clip2")
    record = json.loads(config.read_text(encoding="utf-8"))["weights"]
    weights = FOLDER / record["file"]
    if not weights.is_file():
        raise InputError("is missing", source=weights, fix="reinstall clip2")
    if file_sha256(weights) != record["sha256"]:
        raise InputError(
            "does not match its checksum",
            source=weights,
            field="sha256",
            fix="reinstall clip2: it was altered",
        )
    return FOLDER
