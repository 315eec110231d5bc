"""A model on disk: ``config.json``, ``model.safetensors``, and what may travel with it.

That is ``text_bank.npz``, words for machines without a text tower, and ``familiarity.safetensors``, what the training
objects looked like, so that the model can say "unknown".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError

from clip2.encoders import weights_follow
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood.detector import OODDetector
from clip2.version import __version__
from data_prep.config import TypedConfig, parse_config
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256, write_atomically

if TYPE_CHECKING:
    from clip2.teacher.text_bank import TextBank

CONFIG_FILE, WEIGHTS_FILE, BANK_FILE = "config.json", "model.safetensors", "text_bank.npz"
OOD_FILE = "familiarity.safetensors"
# The model that ships with the package; `clip2 recognize` and `clip2 classify` use it where none is named.
MINI_POINTS = "mini-points"
MINI_POINTS_FOLDER = Path(__file__).parent / "weights" / "mini-points"
FORMAT = "clip2-checkpoint"
FORMAT_VERSION = 1


class FileRecord(TypedConfig):
    """A file that belongs to the checkpoint, and the sha256 of its bytes."""

    file: str
    sha256: str


class CheckpointConfig(TypedConfig):
    """What ``config.json`` holds.

    Attributes:
        format, format_version: what this file is; a version we do not know is refused.
        clip2_version: the release that wrote it.
        model: encoder, preprocessing and teacher.
        weights: the safetensors file.
        text_bank: the words that travel with the model, if any.
        familiarity: what its training objects looked like, if that was measured.
        training: figures of the run that made it, for people; nothing reads them back.
    """

    format: Literal["clip2-checkpoint"]
    format_version: Literal[1]
    clip2_version: str
    model: ModelConfig
    weights: FileRecord
    text_bank: FileRecord | None = None
    familiarity: FileRecord | None = None
    training: dict[str, Any] = Field(default_factory=dict)


def load(source: str | Path, device: str | torch.device = "cpu") -> Clip2Model:
    """A trained model, ready to use (in eval mode). Nothing from the checkpoint is executed.

    Args:
        source: a folder; ``local-dir:FOLDER``; ``hf-hub:ORG/NAME`` with an optional ``@REVISION``; or
            ``mini-points``, the small model that ships with the package and knows only its own made-up world.
        device: where to put the weights.

    Raises:
        InputError: a file is missing or altered, the format is newer, or the weights are of another encoder.
    """
    folder = resolve(source)
    config = read_config(folder)
    weights = _verified(folder, config.weights)
    bank = None
    if config.text_bank is not None:
        from clip2.teacher.text_bank import TextBank

        bank = TextBank.load(_verified(folder, config.text_bank))
    familiarity = None
    if config.familiarity is not None:
        familiarity = OODDetector.load(_verified(folder, config.familiarity))
    try:
        with weights_follow():
            model = Clip2Model(config.model, text_bank=bank, familiarity=familiarity)
    except InputError as error:
        raise InputError(
            error.problem, source=folder / CONFIG_FILE, field=error.field, fix=error.fix
        ) from error
    try:
        tensors = safetensors.torch.load_file(weights)
    except (SafetensorError, OSError) as error:
        raise InputError(f"is not a safetensors file ({error})", source=weights) from error
    _require_same_shapes(model, tensors, weights)
    model.load_state_dict(tensors)
    return model.to(device).eval()


def save(
    model: Clip2Model,
    folder: str | Path,
    text_bank: TextBank | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a model as a folder that :func:`load` reads.

    Every file appears whole or not at all. ``config.json`` comes last, so that a fresh folder without one is
    simply not a checkpoint yet, and one that disagrees with its weights is refused on load.

    Args:
        model: the model, with its ``familiarity`` if it has one.
        folder: made if needed; files of an earlier checkpoint in it are replaced.
        text_bank: words to travel with it; None: the bank the model already carries, if any.
        training: JSON-able figures of the run, shown by ``clip2 info``.

    Raises:
        InputError: the bank belongs to another CLIP model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bank = model.text_bank if text_bank is None else text_bank
    bank_record = None
    if bank is not None:
        model.teacher.require(bank)
        bank.save(folder / BANK_FILE)
        bank_record = FileRecord(file=BANK_FILE, sha256=file_sha256(folder / BANK_FILE))
    familiarity_record = None
    if model.familiarity is not None:
        familiarity_record = _write_familiarity(folder, model.familiarity)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, lambda path: safetensors.torch.save_file(tensors, path))
    config = CheckpointConfig(
        format="clip2-checkpoint",
        format_version=1,
        clip2_version=__version__,
        model=model.config,
        weights=FileRecord(file=WEIGHTS_FILE, sha256=file_sha256(folder / WEIGHTS_FILE)),
        text_bank=bank_record,
        familiarity=familiarity_record,
        training=dict(training or {}),
    )
    _write_config(folder, config)


def add_familiarity(folder: str | Path, familiarity: OODDetector) -> None:
    """Give a saved model statistics of its training objects, or other ones; nothing else of it changes.

    Args:
        folder: of :func:`save`.
        familiarity: from :func:`clip2.ood.detector.fit_ood_detector`.

    Raises:
        InputError: not a checkpoint, or statistics of another encoder.
    """
    folder = Path(folder)
    config = read_config(folder)
    with weights_follow():
        Clip2Model(config.model, familiarity=familiarity)  # refuses statistics of another encoder
    record = _write_familiarity(folder, familiarity)
    _write_config(folder, config.model_copy(update={"familiarity": record}))


def _write_familiarity(folder: Path, familiarity: OODDetector) -> FileRecord:
    familiarity.save(folder / OOD_FILE)
    return FileRecord(file=OOD_FILE, sha256=file_sha256(folder / OOD_FILE))


def _write_config(folder: Path, config: CheckpointConfig) -> None:
    text = json.dumps(config.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def resolve(source: str | Path) -> Path:
    """The folder a checkpoint name stands for, downloaded first if it is on the Hugging Face Hub.

    ``mini-points`` is the shipped model; a folder of that name is ``local-dir:mini-points``.
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
            fix="give a folder made by clip2 train, hf-hub:ORG/NAME or mini-points",
        )
    return folder


def read_config(folder: Path) -> CheckpointConfig:
    """The checked ``config.json`` of a checkpoint folder, without touching its weights."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"has no {CONFIG_FILE}", source=folder, fix="this is not a clip2 checkpoint")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
    return parse_config(CheckpointConfig, values, source=path)


def require_whole(folder: Path, config: CheckpointConfig) -> None:
    """Compare every file of a checkpoint with its checksum, without loading any.

    Raises:
        InputError: one is missing or altered.
    """
    for record in (config.weights, config.text_bank, config.familiarity):
        if record is not None:
            _verified(folder, record)


def _verified(folder: Path, record: FileRecord) -> Path:
    # A checkpoint from elsewhere must not name files outside its own folder.
    if Path(record.file).name != record.file:
        raise InputError(
            f"{record.file!r} is not a plain file name", source=folder / CONFIG_FILE, field="file"
        )
    path = folder / record.file
    if not path.is_file():
        raise InputError("is missing", source=path, fix="fetch the whole checkpoint folder")
    if file_sha256(path) != record.sha256:
        raise InputError(
            f"its sha256 is not the one in {CONFIG_FILE}",
            source=path,
            field="sha256",
            fix="fetch both files again; for a training run, continue it with --resume",
        )
    return path


def _require_same_shapes(model: Clip2Model, tensors: Mapping[str, torch.Tensor], source: Path) -> None:
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        if wanted.get(name) != found.get(name):
            raise InputError(
                f"is {found.get(name, 'missing')}, the encoder in {CONFIG_FILE} has {wanted.get(name, 'none')}",
                source=source,
                field=name,
                fix="the weights belong to another encoder configuration",
            )


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
                allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, BANK_FILE, OOD_FILE],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot be fetched ({reason})", source=name, fix="check the name, the revision and the network"
        ) from error
