"""SLIP's text tower, which ULIP's checkpoints carry: ViT-B-32's of open_clip with QuickGELU and other weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from clip2.pretrained.layouts import SLIP
from clip2.teacher.text_tower import CONFIG_FILE, WEIGHTS_FILE, is_of_text, kept_tower
from clip2.tensor_files import save_tensors
from data_prep.storage.files import write_atomically

_CONFIG = {
    "model_cfg": {
        "embed_dim": 512,
        "quick_gelu": True,
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
    }
}


def keep_text_tower(tensors: Mapping[str, Tensor], clip: str) -> Path | None:
    """Write the text tower of a checkpoint into the user cache, where :class:`TextTower` finds it by its name.

    Args:
        tensors: the whole checkpoint.
        clip: name of its CLIP model.

    Returns:
        The folder; None if the checkpoint carries no tower that open_clip lacks.
    """
    if clip != SLIP or "token_embedding.weight" not in tensors:
        return None
    folder = kept_tower(SLIP)
    folder.mkdir(parents=True, exist_ok=True)
    tower = {
        key: value.float().contiguous().clone()
        for key, value in tensors.items()
        if is_of_text(key) and not key.startswith(("point_encoder.", "pc_projection", "image_projection"))
    }
    save_tensors(folder / WEIGHTS_FILE, tower)
    text = json.dumps(_CONFIG, indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    return folder
