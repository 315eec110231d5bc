"""A run's folder: what is in it already, and whether this run may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clip2.training.config import TrainConfig, load_config
from clip2.training.state import saved_states
from data_prep.errors import InputError
from data_prep.storage.files import require_writable

CONFIG_FILE = "config.yaml"
# Keys that do not change what is learned; a resumed run may differ in them.
_FREE = ("device.", "loop.checkpoint_every", "loop.log_every", "loop.evaluate_every", "data.folders")


def configuration_of(run: Path) -> TrainConfig:
    """The configuration a run was started with."""
    path = run / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"has no {CONFIG_FILE}", source=run, fix="this is not a run of clip2 train")
    return load_config(path)


def check_run(run: Path, config: TrainConfig, resume: bool) -> Path | None:
    """The state to continue from, or None to begin.

    Raises:
        InputError: the folder cannot be written; it holds a run and ``resume`` was not asked for, a run with another configuration, or
            something that is no run at all.
    """
    require_writable(run, "--out")
    # A run killed in its first moment leaves no more than a half-written file.
    if not run.is_dir() or all(entry.name.endswith(".part") for entry in run.iterdir()):
        return None
    if not (run / CONFIG_FILE).is_file():
        raise InputError("holds other things", source=run, field="--out", fix="name a new folder")
    if not resume:
        raise InputError(
            "already holds a run",
            source=run,
            field="--out",
            fix="add --resume to continue it, or name another folder",
        )
    before, now = _flat(configuration_of(run).model_dump()), _flat(config.model_dump())
    for key in sorted(before | now):
        if before.get(key) != now.get(key) and not key.startswith(_FREE):
            raise InputError(
                f"was {before.get(key)!r} when the run began, is now {now.get(key)!r}",
                source=run,
                field=key,
                fix="continue with the same configuration (leave --config away), or begin in another folder",
            )
    states = saved_states(run)
    return states[-1] if states else None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
