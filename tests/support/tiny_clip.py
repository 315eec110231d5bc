"""A CLIP small enough for tests: real architecture, real loading path, random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

IMAGE_SIZE = 32


def make_tiny_clip(folder: Path, width: int = 32, seed: int = 0) -> str:
    """Write ``open_clip_config.json`` and ``open_clip_model.safetensors`` into ``folder``.

    Returns:
        The name to load it by: ``local-dir:FOLDER``. Images are 32 x 32, words use CLIP's own vocabulary (it ships
        with open_clip), vectors are ``width`` wide. The same seed gives the same weights.
    """
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    config = {
        "embed_dim": width,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CLIP(width, CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"]))
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"size": IMAGE_SIZE, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(weights, str(folder / "open_clip_model.safetensors"))
    return f"local-dir:{folder}"
