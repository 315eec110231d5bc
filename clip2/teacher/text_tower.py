"""CLIP's text tower alone: the rest of the model is neither built nor read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clip2.device import parse_device
from clip2.labels import parse_labels
from clip2.teacher.open_clip_models import published_config, published_weights, tokenizer
from clip2.teacher.prompts import fill_templates, require_templates
from clip2.teacher.text_source import canonical_model
from clip2.tensor_files import load_torch_file, open_tensors
from data_prep.errors import InputError
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.room import megabytes, require_memory
from data_prep.storage.urls import cache_root

TextPrecision = Literal["fp32", "bf16"]
CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
# Text towers that open_clip does not publish, and the public point encoder whose file carries each.
FROM_CHECKPOINTS = {"SLIP-ViT-B/ulip": "ulip-pointbert"}
_FLOPS_PER_CORE = 5e10  # measured with ViT-B-32's tower in float32; used for the announcement only
_Say = Callable[[str], None]


def is_of_text(key: str) -> bool:
    """Whether a tensor of a CLIP model belongs to its text tower."""
    return not key.startswith("visual.") and key not in ("logit_scale", "logit_bias", "tau")


def kept_tower(name: str) -> Path:
    """Folder of the user cache for a text tower that open_clip does not publish."""
    return cache_root() / "towers" / re.sub(r"[^A-Za-z0-9_-]+", "_", name)


@dataclass(frozen=True, eq=False)
class TextTower:
    """The text tower of a CLIP model, frozen. A :class:`~clip2.teacher.TextSource`.

    Attributes:
        model: canonical name of its space.
        width: D, width of the vectors.
        device: device of the weights.
        templates: prompt set of :meth:`embed_labels`, a key of :data:`~clip2.teacher.PROMPTS`.
    """

    model: str
    width: int
    device: torch.device
    templates: str
    _network: nn.Module
    _tokenize: Callable[[list[str]], Tensor]
    _mask: Tensor | None
    _parameters: int

    @classmethod
    def load(
        cls,
        name: str,
        device: str | torch.device = "cpu",
        *,
        model: str | None = None,
        templates: str = "clip2",
        precision: TextPrecision = "fp32",
        tell: _Say = lambda line: None,
    ) -> TextTower:
        """Load the text tower of a CLIP model.

        Args:
            name: ``NAME/TAG`` of open_clip, ``local-dir:FOLDER``, or the name of a tower in the user cache.
            device: ``cpu``, ``cuda``, ``cuda:1`` or ``auto``.
            model: ``NAME/TAG`` of the model in a ``local-dir:``.
            templates: prompt set, a key of :data:`~clip2.teacher.PROMPTS`.
            precision: of the weights; ``bf16`` takes half the memory, cosines differ by 1e-3.
            tell: called with one line about bytes and memory before they are read.

        Raises:
            InputError: unknown name, weights that cannot be had, a folder that is incomplete, or too little memory.
        """
        require_templates(templates)
        place = parse_device(device)
        settings, path = find_text_tower(name)
        keys = _text_keys(path)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        count = sum(keys.values())
        tell(
            f"{name}: reading its text tower, {count / 1e9:.2f} B parameters; "
            f"{megabytes(count * dtype.itemsize)} of memory"
        )
        require_memory(1.2 * count * dtype.itemsize, f"the text tower of {name}")
        network = _build(settings, _read(path, keys, dtype), path).to(place)
        text = settings["text_cfg"]
        cuts = text.get("pool_type", "argmax") == "argmax"
        return cls(
            model=canonical_model(model or name),
            width=int(settings["embed_dim"]),
            device=place,
            templates=templates,
            _network=network,
            _tokenize=tokenizer(settings, name),
            _mask=getattr(network, "attn_mask", None) if cuts else None,
            _parameters=count,
        )

    @torch.inference_mode()
    def encode_texts(
        self,
        labels: str | Sequence[str],
        templates: str | None = None,
        batch_size: int = 256,
        tell: _Say = lambda line: None,
    ) -> NDArray[np.float32]:
        """Vectors of labels: the mean over the prompts of a set, normalized before and after.

        Args:
            labels: K labels; ``_`` is read as a space.
            templates: prompt set; None: :attr:`templates`.
            batch_size: prompts per forward pass.
            tell: called with the expected seconds if there are many.

        Returns:
            (K, D) float32 unit rows.

        Raises:
            InputError: no labels, a label twice, an unknown prompt set.
        """
        names = parse_labels(labels)
        prompts = [prompt for one in names for prompt in fill_templates(one, templates or self.templates)]
        tokens = self._tokens(prompts)
        if self.device.type == "cpu":
            flop = 2 * self._parameters * tokens.numel()
            seconds = flop / _FLOPS_PER_CORE / torch.get_num_threads()
            if seconds > 5:
                tell(f"embedding {len(names)} labels in {len(prompts)} prompts: about {seconds:.0f} s, once")
        if self._mask is not None:
            length = tokens.shape[1]
            self._network.attn_mask = self._mask[:length, :length]
        vectors = [
            functional.normalize(self._network(part.to(self.device)).float(), dim=-1)
            for part in tokens.split(batch_size)
        ]
        rows = torch.cat(vectors).unflatten(0, (len(names), -1)).mean(dim=1)
        found: NDArray[np.float32] = functional.normalize(rows, dim=-1).cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(
                "computes vectors that are not finite", source=self.model, fix="check the weights"
            )
        return found

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows of K labels, with the prompt set :attr:`templates`."""
        return self.encode_texts(labels)

    def with_templates(self, templates: str) -> TextTower:
        """The same network with another prompt set.

        Raises:
            InputError: an unknown prompt set.
        """
        require_templates(templates)
        return replace(self, templates=templates)

    def _tokens(self, prompts: list[str]) -> Tensor:
        """(n, L) token ids. Nothing after a prompt's end reaches its vector, so L is the longest prompt's length."""
        tokens = self._tokenize(prompts)
        return tokens[:, : int(tokens.argmax(1).max()) + 1] if self._mask is not None else tokens


def space_width(name: str) -> int:
    """D, width of the vectors of a CLIP model; nothing is downloaded.

    Args:
        name: as :meth:`TextTower.load` takes it.

    Raises:
        InputError: an unknown name.
    """
    if name.startswith("local-dir:") or (kept_tower(name) / CONFIG_FILE).is_file():
        return int(find_text_tower(name)[0]["embed_dim"])
    return int(published_config(canonical_model(name))["embed_dim"])


def find_text_tower(name: str) -> tuple[Mapping[str, Any], Path]:
    """Configuration of a CLIP model, and the file of its weights, downloaded if needed.

    Args:
        name: as :meth:`TextTower.load` takes it.

    Raises:
        InputError: an unknown name, an incomplete folder, or no network.
    """
    kept = kept_tower(name)
    if name.startswith("local-dir:") or (kept / CONFIG_FILE).is_file():
        folder = Path(name.removeprefix("local-dir:")).expanduser() if name.startswith("local-dir:") else kept
        try:
            settings = parse_json(read_text(folder / CONFIG_FILE))["model_cfg"]
            weights = next(
                path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".bin")
            )
            return {**settings, "text_cfg": dict(settings["text_cfg"])}, weights
        except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise InputError(
                f"is not a folder of a CLIP model ({error or 'no weights'})",
                source=folder,
                fix=f"put {CONFIG_FILE} and {WEIGHTS_FILE} of one model into it",
            ) from error
    if name in FROM_CHECKPOINTS:
        raise InputError(
            "is in no package; the checkpoint of a point encoder carries it",
            source=name,
            field="clip",
            fix=f"run clip2 fetch {FROM_CHECKPOINTS[name]}",
        )
    return published_weights(canonical_model(name))


def _text_keys(path: Path) -> dict[str, int]:
    """Keys of the text tower in a file and their numbers of elements; only its index is read."""
    shapes: dict[str, tuple[int, ...]] = {}
    if path.suffix == ".safetensors":
        with open_tensors(path, "pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    else:
        shapes = {key: tuple(value.shape) for key, value in _mapped(path).items()}
    has_own = any(key.startswith("text.") for key in shapes)
    wanted = {key for key in shapes if (key.startswith("text.") if has_own else is_of_text(key))}
    if not wanted:
        raise InputError("holds no text tower", source=path)
    return {key: int(np.prod(shapes[key])) for key in sorted(wanted)}


def _read(path: Path, keys: Mapping[str, int], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of these keys, without the prefix of the tower."""
    if path.suffix == ".safetensors":
        with open_tensors(path, "pt") as file:
            found = {key: file.get_tensor(key) for key in keys}
    else:
        mapped = _mapped(path)
        found = {key: mapped[key] for key in keys}
    return {
        key.removeprefix("text."): value.to(dtype) if value.is_floating_point() else value
        for key, value in found.items()
    }


def _mapped(path: Path) -> dict[str, Tensor]:
    found = load_torch_file(path)
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError("is not a state dict", source=path, fix="use its safetensors file")
    return found


def _build(settings: Mapping[str, Any], state: dict[str, Tensor], path: Path) -> nn.Module:
    from open_clip.model import _build_text_tower

    text = dict(settings["text_cfg"])
    try:
        # Without memory for weights that the file replaces.
        with torch.device("cpu" if text.get("hf_model_name") else "meta"):
            tower = _build_text_tower(settings["embed_dim"], text, bool(settings.get("quick_gelu")))
        state = {key: value for key, value in state.items() if key in tower.state_dict()}
        tower.load_state_dict(state, assign=True)
        if getattr(tower, "attn_mask", None) is not None:
            tower.attn_mask = tower.build_causal_mask().to(next(iter(state.values())).dtype)
    except (RuntimeError, TypeError, KeyError) as error:
        raise InputError(
            f"does not fit its configuration ({str(error).splitlines()[-1].strip()})", source=path
        ) from error
    built: nn.Module = tower.eval().requires_grad_(False)
    return built
