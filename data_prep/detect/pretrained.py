"""Loading of Hugging Face models with their processors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError

from data_prep.errors import InputError
from data_prep.storage.extras import require_extra
from data_prep.storage.files import file_sha256

_PRECISIONS = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
_CARRIES_MEANING = (".json", ".txt", ".model", ".safetensors", ".bin")


@dataclass(frozen=True)
class Pretrained:
    """A model with its processor on a device.

    Attributes:
        name: as the user gave it.
        version: commit of the hub, or a hash of the folder's files.
        model: in eval mode on ``device``, float32.
        processor: prepares images and text for it.
        device: where it runs.
        precision: fp32, fp16 or bf16.
    """

    name: str
    version: str
    model: Any
    processor: Any
    device: torch.device
    precision: str

    @contextmanager
    def inference(self, smaller: str) -> Iterator[None]:
        """No gradients, reduced precision if asked for; ``smaller`` names the setting to lower when memory runs out."""
        dtype = _PRECISIONS[self.precision]
        autocast = torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)
        try:
            with torch.inference_mode(), autocast:
                yield
        except torch.OutOfMemoryError as error:
            raise InputError(
                "does not fit into the GPU's memory", source=self.name, field=smaller, fix="lower it"
            ) from error

    def describe(self) -> dict[str, str]:
        """Name, version and precision."""
        folder = Path(self.name.removeprefix("local-dir:")).expanduser()
        # A folder that was moved holds the same model.
        name = folder.resolve().name if folder.is_dir() else self.name
        return {"name": name, "version": self.version, "precision": self.precision}


def load_pretrained(
    name: str, auto_class: str, *, device: str, precision: str, revision: str | None = None
) -> Pretrained:
    """Load a model and its processor.

    Args:
        name: repository on the hub, with or without ``hf-hub:``, or a folder, with or without ``local-dir:``.
        auto_class: the class of transformers that must be able to load it.
        device, precision: see :class:`~data_prep.detect.huggingface.HuggingFaceDetector`.
        revision: of the repository.

    Raises:
        InputError: see there.
    """
    transformers = require_extra("transformers", "detect", needed_for=name)
    where = _resolve(name)
    target, half = _device(device), precision
    if half == "auto":
        bf16 = target.type == "cuda" and torch.cuda.is_bf16_supported()
        half = "bf16" if bf16 else "fp16" if target.type == "cuda" else "fp32"
    if half not in _PRECISIONS:
        raise InputError(
            f"{precision!r} is unknown", field="precision", fix=f"use {', '.join(_PRECISIONS)} or auto"
        )
    if half == "fp16" and target.type == "cpu":
        raise InputError("fp16 needs a GPU", field="precision", fix="use fp32 or bf16 on a CPU")
    options = {} if revision is None else {"revision": revision}
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()  # of file loading; downloads keep theirs
    # Nothing executes from data: a repository's own code is never run, and transformers unpickles tensors only.
    try:
        # One small file first: without a network, each file of the processor would time out in turn.
        transformers.AutoConfig.from_pretrained(where, trust_remote_code=False, **options)
        processor = transformers.AutoProcessor.from_pretrained(where, trust_remote_code=False, **options)
        model, loading = getattr(transformers, auto_class).from_pretrained(
            where, trust_remote_code=False, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise _not_loaded(name, where, auto_class, error) from error
    finally:
        if shown:
            bars.enable_progress_bar()
    if loading["missing_keys"]:  # transformers initializes them at random
        missing = sorted(loading["missing_keys"])
        raise InputError(
            f"lacks {len(missing)} weights of {type(model).__name__}, first: {missing[0]}",
            source=name,
            fix="use a checkpoint of the whole model",
        )
    version = getattr(model.config, "_commit_hash", None) or _folder_version(Path(where))
    return Pretrained(name, version, model.float().to(target).eval(), processor, target, half)


def _resolve(name: str) -> str:
    if name.startswith("hf-hub:"):
        return name.removeprefix("hf-hub:")
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                "is missing",
                source=folder,
                field="config.json",
                fix="name a folder as save_pretrained writes it",
            )
        return str(folder)
    if name.startswith(("local-dir:", "/", "./", "../", "~")):
        raise InputError("is not a folder", source=folder, fix="check the path")
    return name


def _not_loaded(name: str, where: str, auto_class: str, error: Exception) -> InputError:
    reason = shorten(str(error), 220)
    if "Unrecognized" in reason or "for this kind of AutoModel" in reason:
        return InputError(
            f"is not a model of {auto_class} ({shorten(str(error), 110)})",
            source=name,
            fix="detectors: google/owlv2-base-patch16-ensemble, IDEA-Research/grounding-dino-tiny; masks: "
            "facebook/sam2.1-hiera-small, facebook/sam-vit-base",
        )
    if Path(where).is_dir():
        return InputError(
            f"cannot be loaded ({reason})", source=name, fix="write the folder again with save_pretrained"
        )
    return InputError(
        f"is not on this machine and cannot be fetched ({reason})",
        source=name,
        fix=f"check the name and go online once, or copy the files of https://huggingface.co/{where} into a folder "
        "and name that folder",
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if kind not in here or (number and not number.isdecimal()):
        raise InputError(f"{name!r} is not known", field="device", fix="use cpu, cuda, cuda:1, mps or auto")
    if int(number or 0) >= here[kind]:
        raise InputError(f"{name} is not available", field="device", fix="use cpu or auto")
    return torch.device(name)


def _folder_version(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _CARRIES_MEANING:
            digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
