"""Sets the temperature so that probabilities mean what they say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from clip2.teacher.teacher import Teacher
from clip2.world.teacher.network import WEIGHTS_FILE
from clip2.world.teacher.pictures import draw_objects
from clip2.world.teacher.score_card import embed
from data_prep.storage.files import write_atomically
from data_prep.world import list_categories


def calibrate(folder: Path, seed: int, per_category: int = 10) -> float:
    """Replace the learned logit scale by the one under which fresh objects are most probable (Guo et al. 2017).

    Training sharpens it for pictures it has seen; nothing else changes, no answer does.

    Returns:
        The new scale.
    """
    teacher = Teacher.load(f"local-dir:{folder}", precision="fp32")
    names = list_categories()
    fresh = draw_objects([seed, 3], range(per_category * len(names)), views=1)
    cosines = torch.from_numpy(embed(teacher, fresh) @ teacher.embed_labels(names).T)
    truth = torch.from_numpy(fresh.category.astype(np.int64))
    candidates = np.exp(np.linspace(math.log(5), math.log(100), 60))
    losses = [float(torch.nn.functional.cross_entropy(scale * cosines, truth)) for scale in candidates]
    best = float(candidates[int(np.argmin(losses))])
    path = folder / WEIGHTS_FILE
    weights = load_file(path)
    weights["logit_scale"] = torch.tensor(math.log(best), dtype=weights["logit_scale"].dtype)
    write_atomically(path, lambda scratch: save_file(weights, str(scratch)))
    return best
