"""The architecture of ``mini``: open_clip's own parts, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from clip2.world.teacher.augment import FILL, MEAN, STD
from clip2.world.teacher.pictures import SIZE
from data_prep.storage.files import file_sha256, write_atomically

CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"

# Convolutions learn from few pictures what a transformer of this size does not; of the towers tried, CSPDarknet (Wang
# et al. 2020; timm's) learned most per second. CLIP's vocabulary ships with open_clip and half of the weights are its
# embeddings, hence the narrow text tower.
MODEL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": SIZE,
        "timm_model_name": "cs3darknet_focus_s",
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
}
PREPROCESS: dict[str, Any] = {
    "size": SIZE,
    "mean": MEAN,
    "std": STD,
    "interpolation": "bicubic",
    "resize_mode": "longest",  # shapes keep their proportions: what is narrow stays narrow
    "fill_color": FILL,
}


def create_network(seed: int) -> Any:
    """An open_clip ``CLIP`` with random weights."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision, text = CLIPVisionCfg(**MODEL["vision_cfg"]), CLIPTextCfg(**MODEL["text_cfg"])
        return CLIP(MODEL["embed_dim"], vision, text)


def save_network(network: Any, folder: Path) -> None:
    """Write config and float16 weights the way open_clip reads them (``local-dir:FOLDER``)."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    weights = {
        key: value.detach().half().contiguous() if value.is_floating_point() else value.contiguous()
        for key, value in network.state_dict().items()
        if not key.startswith("heads.")
    }
    write_atomically(folder / WEIGHTS_FILE, lambda path: save_file(weights, str(path)))


def seal(folder: Path) -> None:
    """Write the checksum of the weights into the config, beside what open_clip reads."""
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    config["weights"] = {"file": WEIGHTS_FILE, "sha256": file_sha256(folder / WEIGHTS_FILE)}
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
