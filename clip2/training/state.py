"""The state of an unfinished run: one safetensors file per checkpoint, nothing pickled.

What is random in a step is a function of the seed and the step (see :mod:`clip2.training.sampler`), so model, average,
optimizer and step are the whole state.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically

FOLDER = "state"
KEPT = 2


def save_state(
    run: Path,
    step: int,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write the state after ``step`` steps and forget all but the latest two.

    Args:
        run: the run's folder.
        step: optimizer steps done.
        model, average, optimizer: what to store.
        facts: JSON-able, given back by :func:`load_state`.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"clip2": json.dumps({"step": step, **facts})}
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    write_atomically(
        folder / f"step-{step:09d}.safetensors",
        lambda path: safetensors.torch.save_file(tensors, path, metadata),
    )
    for old in saved_states(run)[:-KEPT]:
        old.unlink(missing_ok=True)


def saved_states(run: Path) -> list[Path]:
    """State files of a run, oldest first."""
    return sorted((run / FOLDER).glob("step-*.safetensors"))


def read_facts(path: Path) -> dict[str, Any]:
    """``step`` and the other facts of a state file, without its tensors."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["clip2"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"is not a training state ({error})", source=path, fix="delete it to continue from an earlier one"
        ) from None


def load_state(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a stored state back, bit for bit.

    Raises:
        InputError: the file is damaged or of another network.
    """
    read_facts(path)
    tensors = safetensors.torch.load_file(path)
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        parts[kind][rest] = value
    for kind, module in (("model", model), ("average", average)):
        own = module.state_dict()
        if {name: value.shape for name, value in own.items()} != {
            name: value.shape for name, value in parts[kind].items()
        }:
            raise InputError("is the state of another network", source=path, field=kind)
        module.load_state_dict(parts[kind])
    by_name = dict(model.named_parameters())
    for name, value in parts["optimizer"].items():
        key, _, parameter_name = name.partition("/")
        parameter = by_name[parameter_name]
        # AdamW keeps its step count on the CPU unless told otherwise.
        place = value if key == "step" else value.to(parameter.device)
        optimizer.state[parameter][key] = place
