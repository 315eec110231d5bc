"""Loading of open_clip models by name: published weights, Hugging Face repositories, folders, bundled models."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from clip2.teacher.bundled import BUNDLED
from clip2.teacher.hub_files import HubFile
from clip2.teacher.text_source import canonical_model
from data_prep.errors import InputError
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text, require_no_pipe

_CONFIG = "open_clip_config.json"
_WEIGHTS_FILE = "open_clip_model.safetensors"
_WEIGHTS = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class LoadedClip:
    """A CLIP network with its tokenizer and preprocessing.

    Attributes:
        network: open_clip model on the CPU in float32.
        tokenize: list of prompts → (n, L) token ids.
        preprocess: open_clip's preprocessing settings.
        model: canonical ``NAME/TAG``, or ``hf-hub:org/repo``; None for folders of unknown models.
    """

    network: Any
    tokenize: Callable[[list[str]], torch.Tensor]
    preprocess: Mapping[str, Any]
    model: str | None


def load_open_clip(name: str, declared: str | None = None) -> LoadedClip:
    """Build a pretrained open_clip model; random weights are never returned.

    Args:
        name: ``NAME/TAG``, ``hf-hub:org/repo``, ``local-dir:/path``, or a bundled model.
        declared: for ``local-dir:``, the ``NAME/TAG`` of its weights.

    Raises:
        InputError: see :meth:`clip2.teacher.Teacher.load`.
    """
    if name in BUNDLED:
        return _load_folder(BUNDLED[name].verified_folder(), None)
    if name.startswith("local-dir:"):
        return _load_folder(Path(name.removeprefix("local-dir:")).expanduser(), declared)
    if declared is not None:
        raise InputError(f"is for local-dir: only, not for {name!r}", field="model", fix="leave it out")
    if name.startswith("hf-hub:"):
        return _load_repository(name)
    return _load_published(canonical_model(name))


def published_weights(name: str) -> tuple[dict[str, Any], Path]:
    """Model configuration and weights file of a ``NAME/TAG``, downloaded if needed.

    Raises:
        InputError: open_clip does not know it, or it cannot be downloaded.
    """
    import open_clip
    from open_clip.pretrained import download_pretrained

    architecture, tag = _split(name)
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    repository = settings.get("hf_hub", "")
    try:
        if repository.endswith("/"):  # open_clip asks for several file names, each with retries
            file = HubFile(repository.strip("/"), _WEIGHTS_FILE)
            if file.cached() is None:
                file.look_up()
        path = Path(download_pretrained(settings))
    except (OSError, RuntimeError) as error:
        raise _not_fetched(name, settings.get("hf_hub", "").strip("/"), error) from error
    return published_config(name), path


def published_config(name: str) -> dict[str, Any]:
    """Model configuration of a ``NAME/TAG``.

    Raises:
        InputError: open_clip does not know it.
    """
    import open_clip

    architecture, tag = _split(name)
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    config = dict(open_clip.get_model_config(architecture))
    # The activation follows from the tag; open_clip only warns about a mismatch.
    config["quick_gelu"] = bool(config.get("quick_gelu") or settings.get("quick_gelu"))
    return config


def published_repository(name: str) -> str:
    """Hugging Face repository of the weights of a ``NAME/TAG``; empty if they lie elsewhere.

    Raises:
        InputError: open_clip does not know it.
    """
    import open_clip

    repository: str = open_clip.get_pretrained_cfg(*_split(name)).get("hf_hub", "")
    return repository.strip("/")


def _load_published(name: str) -> LoadedClip:
    import open_clip

    architecture, tag = _split(name)
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    published_weights(name)
    network = open_clip.create_model(
        architecture,
        pretrained=tag,
        require_pretrained=True,
        force_quick_gelu=bool(settings.get("quick_gelu")),
    )
    return LoadedClip(network, _tokenizer(architecture), network.visual.preprocess_cfg, name)


def _load_repository(name: str) -> LoadedClip:
    import open_clip
    from open_clip.pretrained import download_pretrained_from_hf

    repository = name.removeprefix("hf-hub:")
    try:
        download_pretrained_from_hf(repository, filename=_CONFIG)
        download_pretrained_from_hf(repository)
    except (OSError, RuntimeError, ValueError) as error:
        raise _not_fetched(name, repository, error) from error
    network = open_clip.create_model(name, require_pretrained=True)
    return LoadedClip(
        network, _tokenizer(name), network.visual.preprocess_cfg, published_as(repository) or name
    )


def _load_folder(folder: Path, declared: str | None) -> LoadedClip:
    import open_clip

    fix = f"put {_CONFIG} and open_clip_model.safetensors of one model into it"
    if not folder.is_dir():
        raise InputError("is not a folder", source=folder, fix="check the path after local-dir:")
    if not (folder / _CONFIG).is_file():
        raise InputError("is missing", source=folder, field=_CONFIG, fix=fix)
    require_no_pipe(folder)
    if not any(path.suffix in _WEIGHTS for path in folder.iterdir()):
        raise InputError("has no weights", source=folder, fix=fix)
    try:
        config = parse_json(read_text(folder / _CONFIG))["model_cfg"]
        int(config["embed_dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is not a model config ({error!r})", source=folder, field=_CONFIG, fix=fix
        ) from error
    model = None if declared is None else _check_declared(declared, config, folder)
    name = f"local-dir:{folder}"
    try:
        network = open_clip.create_model(name, require_pretrained=True)
    except Exception as error:  # open_clip builds whatever the file describes; any error says it is wrong
        reason = shorten(f"{type(error).__name__}: {error}", 200)
        raise InputError(f"cannot be loaded ({reason})", source=folder, fix=fix) from error
    return LoadedClip(network, _tokenizer(name), network.visual.preprocess_cfg, model)


def _split(name: str) -> tuple[str, str]:
    """NAME and TAG, after checking that open_clip has both."""
    import open_clip

    architecture, _, tag = name.partition("/")
    models = open_clip.list_models()
    if architecture not in models:
        near = difflib.get_close_matches(architecture, models, n=3, cutoff=0.3)
        raise InputError(
            f"open_clip has no model {architecture!r}",
            source=name,
            field="clip",
            fix=f"use NAME/TAG, nearest names: {', '.join(near) or 'none'}; or hf-hub:org/repo, local-dir:/path",
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        near = difflib.get_close_matches(tag, tags, n=3, cutoff=0.4) or tags[:3]
        problem = f"{architecture} has no weights {tag!r}" if tag else f"{architecture} needs a TAG"
        say = f"use {' or '.join(f'{architecture}/{one}' for one in near)} ({len(tags)} tags in all)"
        raise InputError(problem, source=name, field="clip", fix=say if tags else "choose another NAME")
    return architecture, tag


def published_as(repository: str) -> str | None:
    """``NAME/TAG`` of the weights that open_clip keeps in this Hugging Face repository, or None."""
    import open_clip

    for architecture, tag in open_clip.list_pretrained():
        settings = open_clip.get_pretrained_cfg(architecture, tag)
        if settings.get("hf_hub", "").strip("/") == repository:
            return canonical_model(f"{architecture}/{tag}")
    return None


def _check_declared(declared: str, config: Mapping[str, Any], folder: Path) -> str:
    """The canonical name, after comparing width and activation with those of the folder's config."""
    import open_clip

    name = canonical_model(declared)
    architecture, tag = _split(name)
    expected = open_clip.get_model_config(architecture)
    expected["quick_gelu"] = expected.get("quick_gelu") or open_clip.get_pretrained_cfg(
        architecture, tag
    ).get("quick_gelu")
    for key in ("embed_dim", "quick_gelu"):
        if (config.get(key) or False) != (expected.get(key) or False):
            raise InputError(
                f"is {config.get(key) or False} in the folder, {expected.get(key) or False} in {name}",
                source=folder / _CONFIG,
                field=key,
                fix="give the NAME/TAG of the weights in the folder",
            )
    return name


def _tokenizer(name: str) -> Callable[[list[str]], torch.Tensor]:
    import open_clip

    try:
        return open_clip.get_tokenizer(name)
    except ImportError as error:
        raise InputError(
            "its tokenizer needs the package transformers", source=name, fix="pip install transformers"
        ) from error


def tokenizer(settings: Mapping[str, Any], name: str) -> Callable[[list[str]], torch.Tensor]:
    """Tokenizer of a model configuration: CLIP's own, or the one that it names.

    Raises:
        InputError: it needs a package that is not installed.
    """
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = settings["text_cfg"]
    length = int(text.get("context_length", 77))
    options = text.get("tokenizer_kwargs", {})
    if not text.get("hf_tokenizer_name"):
        return SimpleTokenizer(context_length=length, **options)
    try:
        return HFTokenizer(text["hf_tokenizer_name"], context_length=length, **options)
    except ImportError as error:
        raise InputError(
            "its tokenizer needs the package transformers", source=name, fix="pip install transformers"
        ) from error


def _not_fetched(name: str, repository: str, error: Exception) -> InputError:
    reason = shorten(str(error).split("Last error:")[-1], 160)
    where = (
        f"https://huggingface.co/{repository}" if repository.count("/") == 1 else "where they are published"
    )
    return InputError(
        f"its weights are not on this machine and cannot be downloaded ({reason})",
        source=name,
        field="clip",
        fix=f"check the name and go online once, or copy {_CONFIG} and open_clip_model.safetensors from {where} "
        "into a folder and use local-dir:FOLDER",
    )
