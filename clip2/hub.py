"""Model cards of checkpoints, and their upload to a model hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clip2.checkpoint import CONFIG_FILE, CheckpointConfig, read_config, require_whole
from clip2.model_config import ModelConfig
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically

CARD_FILE = "README.md"
# The hub's fields: https://huggingface.co/docs/hub/model-cards#model-card-metadata
_TAGS = ("clip2", "point-cloud", "3d", "zero-shot", "open-vocabulary", "robotics")


def model_card(folder: str | Path, license: str | None = None) -> str:
    """Markdown card of a checkpoint: what it is, how to use it, what it was trained on, its metrics.

    Args:
        folder: of :func:`clip2.save` or ``clip2 train``.
        license: identifier of the weights' license, like ``apache-2.0``; None: the card has no such field.

    Raises:
        InputError: the folder is not a checkpoint.

    >>> import clip2, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clip2.save(clip2.load("mini-points"), folder)
    ...     card = model_card(folder, license="apache-2.0")
    >>> card.splitlines()[:3]
    ['---', 'license: apache-2.0', 'library_name: clip2']
    """
    folder = Path(folder)
    config = read_config(folder)
    lines = ["---"]
    if license is not None:
        lines.append(f"license: {license}")
    lines += ["library_name: clip2", "tags:", *(f"- {tag}" for tag in _TAGS), "---", ""]
    return "\n".join([*lines, *_body(config), ""])


def write_model_card(folder: str | Path, license: str | None = None) -> None:
    """Write :func:`model_card` as the folder's ``README.md``, whole or not at all."""
    text = model_card(folder, license)
    write_atomically(Path(folder) / CARD_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def push(folder: str | Path, repository: str, license: str, private: bool = False) -> str:
    """Upload a checkpoint with its model card; :func:`clip2.load` reads it as ``hf-hub:ORG/NAME``.

    The training state, logs and configuration of a run stay at home. The card is also written into the folder.

    Args:
        folder: of :func:`clip2.save` or ``clip2 train``.
        repository: ``hf-hub:ORG/NAME`` or ``ORG/NAME``; created if needed.
        license: identifier of the weights' license for the card, like ``apache-2.0``.
        private: whether a new repository is private.

    Returns:
        ``hf-hub:ORG/NAME``.

    Raises:
        InputError: the folder is not a checkpoint or is damaged, a bad name or license, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    folder = Path(folder)
    name = repository.removeprefix("hf-hub:")
    if name.count("/") != 1:
        raise InputError(f"{repository!r} is not hf-hub:ORG/NAME", field="repository")
    if not license.strip():
        raise InputError("is empty", field="license", fix="name the license of the weights, like apache-2.0")
    config = read_config(folder)
    require_whole(folder, config)
    write_model_card(folder, license)
    records = (config.weights, config.text_bank, config.ood)
    files = [CONFIG_FILE, CARD_FILE, *(record.file for record in records if record is not None)]
    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=files, commit_message="Upload a clip2 checkpoint"
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the hub refuses ({reason})",
            source=f"hf-hub:{name}",
            fix="check the name, the token (hf auth login) and the network",
        ) from error
    return f"hf-hub:{name}"


def _body(config: CheckpointConfig) -> list[str]:
    model, training = config.model, config.training
    return [
        f"# Point encoder for {model.teacher.name}",
        "",
        f"It embeds the points of an object in the space of CLIP {model.teacher.name}, so that any list of labels can "
        "name it. Trained with clip2.",
        "",
        "```python",
        "import clip2",
        "",
        'model = clip2.load("FOLDER or hf-hub:ORG/NAME")',
        'result = model.classify([points], ["mug", "chair", "car"])  # points: (N, 3), z up',
        "```",
        "",
        *_table("Model", _facts(model) | {"clip2": config.clip2_version}),
        *_table(
            "Training", {name: value for name, value in training.items() if name not in ("environment",)}
        ),
        *_table("Environment of the training", training.get("environment", {})),
    ]


def _facts(model: ModelConfig) -> dict[str, Any]:
    preprocessing = model.preprocessing
    units = "meters" if preprocessing.scale == "metric" else "unit sphere"
    color = {"absent": "ignored", "present": "required", "both": "optional"}[model.colors_seen]
    return {
        "encoder": model.encoder.name,
        "CLIP model": model.teacher.name,
        "width of the embeddings": model.teacher.width,
        "points per object": preprocessing.num_points,
        "color": color if preprocessing.color else "ignored",
        "scale": units,
        "size of the object": "used, meters" if preprocessing.size else "not used",
        "axes": "z up",
    }


def _table(title: str, facts: Mapping[str, Any]) -> list[str]:
    if not facts:
        return []
    rows = [f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in facts.items()]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]


def _shown(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
