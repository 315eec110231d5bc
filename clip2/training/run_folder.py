"""Run folder: the check before a run, initial weights, and the saved states that a killed run continues from.

The random draws of a step depend on the seed and the step alone (:mod:`clip2.training.sampler`), so weights, weight
average, optimizer and step are the whole state. A state is one safetensors file; nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clip2.model import Clip2Model
from clip2.pretrained.loading import load
from clip2.state_dict import require_same_shapes
from clip2.tensor_files import load_tensors, read_record, save_tensors
from clip2.training.config import TrainConfig, load_config
from clip2.training.sharding import copy_whole, like, whole
from data_prep.errors import InputError
from data_prep.storage.files import require_writable, writing

CONFIG_FILE, STATE_FOLDER = "config.yaml", "state"
_STATES_KEPT = 2
_REPAIR = "delete it to continue from an earlier one"
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}  # of AdamW
# Keys that do not change what is learned; a resumed run may differ in them.
_FREE = (
    "device.",
    "loop.checkpoint_every",
    "loop.log_every",
    "loop.loggers",
    "loop.evaluate_every",
    "data.folders",
)


def check_run(run: Path, config: TrainConfig, resume: bool) -> Path | None:
    """State file to continue from, or None to begin.

    Raises:
        InputError: the folder cannot be written; it holds other files, a run with another configuration, or any run
            although ``resume`` is False.
    """
    require_writable(run, "--out")
    # A run killed at its start leaves only a partial file.
    if not run.is_dir() or all(entry.name.endswith(".part") for entry in run.iterdir()):
        return None
    if not (run / CONFIG_FILE).is_file():
        raise InputError("holds other files", source=run, field="--out", fix="name a new folder")
    if not resume:
        raise InputError(
            "already holds a run",
            source=run,
            field="--out",
            fix="add --resume to continue it, or name another folder",
        )
    before, now = flat(load_config(run / CONFIG_FILE).model_dump()), flat(config.model_dump())
    for key in sorted(before | now):
        if before.get(key) != now.get(key) and not key.startswith(_FREE):
            raise InputError(
                f"was {before.get(key)!r} when the run began, is now {now.get(key)!r}",
                source=run,
                field=key,
                fix="continue with the same configuration (omit --config), or begin in another folder",
            )
    states = _saved_states(run)
    return states[-1] if states else None


def require_begun(run: Path) -> None:
    """Refuse to end well in a folder that was removed while the run was writing it.

    Raises:
        InputError: the configuration is gone, and so may be everything else.
    """
    if not (run / CONFIG_FILE).is_file():
        raise InputError(
            "was removed while it was written", source=run, field="--out", fix="run the same again"
        )


def init_weights(model: Clip2Model, source: str) -> None:
    """Copy the encoder of a checkpoint; also its projection and scales if both models have the same teacher.

    Args:
        model: new model, changed in place.
        source: as accepted by :func:`clip2.load`.

    Raises:
        InputError: there is no such checkpoint, or its encoder is another one; the message names the difference.
    """
    found = load(source)
    require_same_shapes(
        found.encoder.state_dict(),
        model.encoder.state_dict(),
        owner="the encoder of this run",
        source=f"init_from {source}",
        fix="set model.encoder and model.preprocessing.color as in that checkpoint",
    )
    model.encoder.load_state_dict(found.encoder.state_dict())
    if (found.teacher.name, found.teacher.width) != (model.teacher.name, model.teacher.width):
        return
    model.projection.load_state_dict(found.projection.state_dict())
    if model.size_mixer is not None and found.size_mixer is not None:
        model.size_mixer.load_state_dict(found.size_mixer.state_dict())
    model.log_text_scale.data.copy_(found.log_text_scale.data)
    model.log_image_scale.data.copy_(found.log_image_scale.data)


def save_state(
    run: Path,
    step: int,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
    write: bool = True,
) -> None:
    """Write the state after ``step`` steps and delete all but the latest two. All ranks must call it; the first writes.

    Args:
        run: the run's folder.
        step: optimizer steps done.
        model, average, optimizer: what to save.
        facts: JSON-able, returned by :func:`read_facts`.
        write: whether this rank writes.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value)
    tensors = {name: whole(value.detach()).cpu().contiguous() for name, value in tensors.items()}
    if not write:
        return
    metadata = {"clip2": json.dumps({"step": step, **facts})}
    folder = run / STATE_FOLDER
    with writing(run, "--out"):
        folder.mkdir(exist_ok=True)
    save_tensors(folder / f"step-{step:09d}.safetensors", tensors, metadata)
    for old in _saved_states(run)[:-_STATES_KEPT]:
        old.unlink(missing_ok=True)


def read_facts(path: Path) -> dict[str, Any]:
    """``step`` and the other facts of a state file, without its tensors.

    Raises:
        InputError: the file is damaged.
    """
    facts = read_record(path, "clip2", fix=_REPAIR)
    for field, kinds in (("step", (int,)), ("fingerprint", (str,)), ("seconds", (int, float))):
        value: Any = facts.get(field)
        if type(value) not in kinds or (field == "step" and value < 0):
            raise InputError(f"is {value!r}", source=path, field=field, fix=_REPAIR)
    return facts


def load_state(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Restore a saved state, bit for bit.

    Raises:
        InputError: the file is damaged or belongs to another network.
    """
    read_facts(path)
    tensors = load_tensors(path, fix=_REPAIR)
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind not in parts:
            raise InputError("is not a part of a training state", source=path, field=name, fix=_REPAIR)
        parts[kind][rest] = value
    for kind, module in (("model", model), ("average", average)):
        current = module.state_dict()
        require_same_shapes(parts[kind], current, owner="the network of this run", source=path)
        for name, value in parts[kind].items():
            copy_whole(current[name], value)
    by_name = dict(model.named_parameters())
    for name, value in parts["optimizer"].items():
        key, _, parameter_name = name.partition("/")
        parameter = by_name.get(parameter_name)
        fits = parameter is not None and value.shape in (parameter.shape, ()) and value.is_floating_point()
        if parameter is None or not fits:
            raise InputError("fits no parameter", source=path, field=f"optimizer/{name}", fix=_REPAIR)
        # AdamW keeps its step count on the CPU by default.
        optimizer.state[parameter][key] = value if key == "step" else like(parameter, value)
    if any(set(moments) != _MOMENTS for moments in optimizer.state.values()):
        raise InputError("lacks moments of a parameter", source=path, field="optimizer", fix=_REPAIR)


def _saved_states(run: Path) -> list[Path]:
    """State files of a run, oldest first."""
    return sorted((run / STATE_FOLDER).glob("step-*.safetensors"))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys like ``loop.steps``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
