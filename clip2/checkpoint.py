"""Checkpoint folders: ``config.json``, ``model.safetensors``, and optional parts.

Optional are ``text_bank.npz``, label vectors for machines without a text tower, and ``ood.safetensors``, the
out-of-distribution detector behind the label ``unknown``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from clip2.device import parse_device
from clip2.encoders import weights_follow
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood.detector import OODDetector
from clip2.state_dict import require_same_shapes
from clip2.teacher.text_bank import TextBank
from clip2.tensor_files import load_tensors, save_tensors
from clip2.version import __version__
from data_prep.config import TypedConfig, parse_config
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256, write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import is_file_name, read_text

CONFIG_FILE, WEIGHTS_FILE, BANK_FILE, OOD_FILE = (
    "config.json",
    "model.safetensors",
    "text_bank.npz",
    "ood.safetensors",
)
# Key and file name of the detector in release 0.1.0.
_OLD_OOD_KEY, _OLD_OOD_FILE = "familiarity", "familiarity.safetensors"
# The model that ships with the package, the default of `clip2 recognize` and `clip2 classify`.
MINI_POINTS = "mini-points"
MINI_POINTS_FOLDER = Path(__file__).parent / "weights" / "mini-points"
FORMAT = "clip2-checkpoint"
FORMAT_VERSION = 1


class FileRecord(TypedConfig):
    """A file of the checkpoint and the SHA-256 of its bytes."""

    file: str
    sha256: str


class CheckpointConfig(TypedConfig):
    """Content of ``config.json``.

    Attributes:
        format, format_version: kind of file; unknown versions are rejected.
        clip2_version: release that wrote it.
        model: encoder, preprocessing and teacher.
        weights: the network's weights.
        text_bank: label vectors, if any.
        ood: out-of-distribution detector, if any.
        training: metrics of the training run, for people; nothing reads them back.
    """

    format: Literal["clip2-checkpoint"]
    format_version: Literal[1]
    clip2_version: str
    model: ModelConfig
    weights: FileRecord
    text_bank: FileRecord | None = None
    ood: FileRecord | None = None
    training: dict[str, Any] = Field(default_factory=dict)


def load(source: str | Path, device: str | torch.device = "cpu") -> Clip2Model:
    """Load a trained model in eval mode. Nothing in the checkpoint is executed.

    Args:
        source: a folder; ``local-dir:FOLDER``; ``hf-hub:ORG/NAME`` with an optional ``@REVISION``; or
            ``mini-points``, the small model that ships with the package and was trained on one synthetic world.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: CUDA if available.

    Raises:
        InputError: a missing or altered file, a newer format, weights of another encoder, or an unknown device.

    >>> import clip2
    >>> model = clip2.load("mini-points")
    >>> model.teacher.width, len(model.text_bank)
    (128, 73)
    """
    place = parse_device(device)
    folder = resolve(source)
    config = read_config(folder)
    weights = _verified(folder, config.weights)
    bank = None if config.text_bank is None else TextBank.load(_verified(folder, config.text_bank))
    detector = None if config.ood is None else OODDetector.load(_verified(folder, config.ood))
    try:
        with weights_follow():
            model = Clip2Model(config.model, text_bank=bank, ood_detector=detector)
    except InputError as error:
        raise InputError(
            error.problem, source=folder / CONFIG_FILE, field=error.field, fix=error.fix
        ) from error
    tensors = load_tensors(weights, fix="download the checkpoint again, or train it again")
    require_same_shapes(
        tensors,
        model.state_dict(),
        owner=f"the model in {CONFIG_FILE}",
        source=weights,
        fix="the weights belong to another encoder configuration",
    )
    model.load_state_dict(tensors)
    return model.to(place).eval()


def save(
    model: Clip2Model,
    folder: str | Path,
    text_bank: TextBank | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a model as a folder that :func:`load` reads.

    Each file appears whole or not at all. ``config.json`` comes last: a new folder without it is not a checkpoint yet,
    and one whose checksums do not match the other files is rejected on load.

    Args:
        model: the model, with its ``ood_detector`` if it has one.
        folder: created if needed; files of an earlier checkpoint in it are replaced.
        text_bank: label vectors to store; None: the model's own bank, if any.
        training: JSON-able metrics of the training run, shown by ``clip2 info``.

    Raises:
        InputError: the bank belongs to another CLIP model.

    >>> import clip2, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clip2.save(clip2.load("mini-points"), folder)
    ...     clip2.load(folder).parameter_count()
    794501
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bank = model.text_bank if text_bank is None else text_bank
    bank_record = None
    if bank is not None:
        model.teacher.require(bank)
        bank.save(folder / BANK_FILE)
        bank_record = FileRecord(file=BANK_FILE, sha256=file_sha256(folder / BANK_FILE))
    ood_record = None if model.ood_detector is None else _write_detector(folder, model.ood_detector)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_tensors(folder / WEIGHTS_FILE, tensors)
    config = CheckpointConfig(
        format="clip2-checkpoint",
        format_version=1,
        clip2_version=__version__,
        model=model.config,
        weights=FileRecord(file=WEIGHTS_FILE, sha256=file_sha256(folder / WEIGHTS_FILE)),
        text_bank=bank_record,
        ood=ood_record,
        training=dict(training or {}),
    )
    _write_config(folder, config)


def add_ood_detector(folder: str | Path, detector: OODDetector) -> None:
    """Add an out-of-distribution detector to a saved model, or replace it; nothing else changes.

    Args:
        folder: a folder of :func:`save`.
        detector: from :func:`clip2.training.fit_ood.fit_ood_detector`.

    Raises:
        InputError: not a checkpoint, or a detector of another encoder.
    """
    folder = Path(folder)
    config = read_config(folder)
    with weights_follow():
        Clip2Model(config.model, ood_detector=detector)  # checks the width
    record = _write_detector(folder, detector)
    _write_config(folder, config.model_copy(update={"ood": record}))


def _write_detector(folder: Path, detector: OODDetector) -> FileRecord:
    detector.save(folder / OOD_FILE)
    return FileRecord(file=OOD_FILE, sha256=file_sha256(folder / OOD_FILE))


def _write_config(folder: Path, config: CheckpointConfig) -> None:
    text = json.dumps(config.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    if config.ood is None or config.ood.file == OOD_FILE:
        (folder / _OLD_OOD_FILE).unlink(missing_ok=True)


def resolve(source: str | Path) -> Path:
    """Folder of a checkpoint name; Hugging Face repositories are downloaded first.

    ``mini-points`` is the shipped model; write ``local-dir:mini-points`` for a folder of that name.
    """
    name = str(source)
    if source == MINI_POINTS:
        if not (MINI_POINTS_FOLDER / CONFIG_FILE).is_file():
            raise InputError(
                "is not in this installation",
                source=MINI_POINTS,
                field=str(MINI_POINTS_FOLDER),
                fix="reinstall clip2, or name a model of your own",
            )
        return MINI_POINTS_FOLDER
    if name.startswith("hf-hub:"):
        return _download(name)
    folder = Path(name.removeprefix("local-dir:"))
    if not folder.is_dir():
        raise InputError(
            "is not a folder",
            source=folder,
            fix="give a folder of clip2 train, hf-hub:ORG/NAME or mini-points",
        )
    return folder


def read_config(folder: Path) -> CheckpointConfig:
    """The checked ``config.json`` of a checkpoint folder; the weights are not read."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"has no {CONFIG_FILE}", source=folder, fix="this is not a clip2 checkpoint")
    try:
        values = parse_json(read_text(path))
    except (ValueError, OSError) as error:
        raise InputError(f"is not JSON ({error})", source=path) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"is not {FORMAT!r}", source=path, field="format", fix="give a clip2 checkpoint")
    if values.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"is {values.get('format_version')!r}, this release reads {FORMAT_VERSION}",
            source=path,
            field="format_version",
            fix="install the clip2 release that wrote it"
            f" ({values.get('clip2_version', 'unknown')}) or a later one",
        )
    renamed = {"ood" if key == _OLD_OOD_KEY else key: value for key, value in values.items()}
    return parse_config(CheckpointConfig, renamed, source=path)


def require_whole(folder: Path, config: CheckpointConfig) -> None:
    """Compare every file of a checkpoint with its checksum; nothing is loaded.

    Raises:
        InputError: one is missing or altered.
    """
    for record in (config.weights, config.text_bank, config.ood):
        if record is not None:
            _verified(folder, record)


def _verified(folder: Path, record: FileRecord) -> Path:
    # A downloaded checkpoint must not name files outside its folder.
    if not is_file_name(record.file):
        raise InputError(
            f"{record.file!r} is not a plain file name", source=folder / CONFIG_FILE, field="file"
        )
    path = folder / record.file
    if not path.is_file():
        raise InputError("is missing", source=path, fix="download the whole checkpoint folder")
    if file_sha256(path) != record.sha256:
        raise InputError(
            f"differs from the checksum in {CONFIG_FILE}",
            source=path,
            field="sha256",
            fix="download both files again; continue a training run with --resume",
        )
    return path


def _download(name: str) -> Path:
    repository, _, revision = name.removeprefix("hf-hub:").partition("@")
    if repository.count("/") != 1:
        raise InputError(f"{name!r} is not hf-hub:ORG/NAME", field="source")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, BANK_FILE, OOD_FILE, _OLD_OOD_FILE],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot be downloaded ({reason})",
            source=name,
            fix="check the name, the revision and the network",
        ) from error
