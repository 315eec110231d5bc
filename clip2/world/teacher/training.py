"""Network and training of the mini teacher, a small CLIP."""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from clip2.tensor_files import save_tensors
from clip2.world.teacher.batches import FILL, MEAN, STD, Batch, Batches, Mixture
from clip2.world.teacher.pictures import SIZE, Pictures
from data_prep.storage.files import file_sha256, write_atomically
from data_prep.world import list_categories
from data_prep.world.palette import COLORS

LOG_FILE, STATE_FILE = "training_log.jsonl", "state.pt"


@dataclass(frozen=True)
class Recipe:
    """Training recipe of ``mini``: the image tower first, then both towers together.

    An untrained text tower gives the image tower no useful target and halves its learning speed until the text tower
    separates the 73 names. The image tower therefore starts alone, with two temporary linear heads for category and
    color.

    Attributes:
        steps: optimizer steps before ``polish``.
        alone: share of steps in which only the image tower is trained.
        repaint: share of steps before objects are repainted in any color, so that shapes are learned first.
        learning_rate: peak; each tower's rate rises over ``warmup`` steps and falls to 0 along a cosine.
        polish, polish_rate: further steps with a restarted, lower rate and more repainted objects.
        weight_decay: weight decay of matrices.
        average: decay per step of the weight average, which is shipped.
        names, pairs, heads: loss weights, relative to the captions', of choosing the name among all names, the colored
            name among some, and of the two heads.
        mixture: composition of each batch.
        seed: random seed.
    """

    steps: int = 3600
    alone: float = 0.65
    repaint: float = 1 / 3
    learning_rate: float = 1.5e-3
    warmup: int = 100
    polish: int = 700
    polish_rate: float = 5e-4
    weight_decay: float = 0.05
    average: float = 0.998
    names: float = 1.0
    pairs: float = 0.5
    heads: float = 0.5
    mixture: Mixture = field(default_factory=Mixture)
    seed: int = 0

    @property
    def steps_alone(self) -> int:
        """Steps before the text tower is trained."""
        return int(self.alone * self.steps)

    @property
    def total(self) -> int:
        """All steps."""
        return self.steps + self.polish

    def rate(self, step: int, words: bool) -> float:
        """Learning rate of the text tower (``words``) or the image tower in a step, counted from 1."""
        if step > self.steps:
            return self.polish_rate * _schedule(step - self.steps, self.polish, self.warmup // 4)
        first = self.steps_alone if words else 0
        return self.learning_rate * _schedule(step - first, self.steps - first, self.warmup)


def train(
    pictures: Pictures,
    folder: Path,
    recipe: Recipe,
    *,
    console: Console,
    workers: int = 1,
    every: int = 100,
    device: str = "cpu",
) -> None:
    """Train into ``folder``; a call after an interruption continues the run.

    Args:
        pictures: the pool.
        folder: receives config, weights, log, and the state to continue from.
        recipe: training recipe.
        console: receives the progress bar.
        workers: processes that prepare batches; the batches do not depend on their number.
        every: steps between lines of the log, and between states.
        device: ``cpu`` or ``cuda``.
    """
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    network = create_network(recipe.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network.heads = _Heads(MODEL["embed_dim"])
    network.to(device, memory_format=torch.channels_last)
    averaged = deepcopy(network).requires_grad_(False)
    optimizer = _optimizer(network, recipe)
    save_network(averaged, folder)  # the tokenizer reads its settings there
    state = folder / STATE_FILE
    first = _restore(state, network, averaged, optimizer)
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    batches = Batches(
        pictures,
        tokenize,
        recipe.total,
        recipe.seed,
        recipe.mixture,
        alone=recipe.steps_alone,
        repaint_from=int(recipe.repaint * recipe.steps),
        polish_from=recipe.steps,
    )
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, recipe.total),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    network.train()
    sums, began = torch.zeros(len(_FIGURES)), time.perf_counter()
    for step, batch in enumerate(loader, start=first + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step, group["words"])
        figures = _step(network, Batch(*(part.to(device) for part in batch)), optimizer, recipe)
        _average(averaged, network, min(recipe.average, step / (step + 10)))
        sums += figures.detach().cpu()
        if step % every == 0 or step == recipe.total:
            count = (step - 1) % every + 1
            seconds, began = time.perf_counter() - began, time.perf_counter()
            means = (sums / count).tolist()
            row = {"step": step, **{name: round(mean, 4) for name, mean in zip(_FIGURES, means, strict=True)}}
            row["seconds"] = round(seconds, 1)
            sums.zero_()
            with (folder / LOG_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            console.print(" ".join(f"{key} {value}" for key, value in row.items()), highlight=False)
            _save_state(state, step, network, averaged, optimizer)
    save_network(averaged, folder)


class _Heads(nn.Module):
    """Heads for category and color of an image vector; they guide the image tower and are not shipped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.category = nn.Linear(width, len(list_categories()))
        self.color = nn.Linear(width, len(COLORS))


# Means over the steps between two lines of the log; the last two are accuracies.
_FIGURES = ("loss", "captions", "names", "pairs", "category", "color", "right_by_name", "right_by_head")


def _step(network: Any, batch: Batch, optimizer: torch.optim.Optimizer, recipe: Recipe) -> Tensor:
    # Flash attention targets long sequences; on a dozen tokens it costs more than the whole image tower.
    with torch.autocast(batch.images.device.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        images = network.encode_image(batch.images.contiguous(memory_format=torch.channels_last)).float()
        texts = network.encode_text(batch.texts) if len(batch.texts) else None
    by_head = network.heads.category(images)
    category = functional.cross_entropy(by_head, batch.categories)
    color = functional.cross_entropy(network.heads.color(images), batch.colors, ignore_index=-1)
    captions = names = pairs = right = images.new_zeros(())
    if texts is None:
        loss = category + color
    else:
        captions, names, pairs, right = _word_terms(network, images, texts.float(), batch)
        loss = captions + recipe.names * names + recipe.pairs * pairs + recipe.heads * (category + color)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        network.logit_scale.clamp_(0, math.log(100))
    right_by_head = (by_head.argmax(dim=1) == batch.categories).float().mean()
    return torch.stack([loss, captions, names, pairs, category, color, right, right_by_head])


def _word_terms(network: Any, images: Tensor, texts: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    """Losses of captions, names and colored names, and the accuracy."""
    count, categories = len(images), len(list_categories())
    images, texts = functional.normalize(images, dim=-1), functional.normalize(texts, dim=-1)
    logits = network.logit_scale.exp() * images @ texts.T
    same = logits[:, :count]
    # A caption that is also true of another picture must not push it away.
    also = batch.also_true.T & ~torch.eye(count, dtype=torch.bool, device=same.device)
    same = same.masked_fill(also, -torch.inf)
    target = torch.arange(count, device=same.device)
    captions = (functional.cross_entropy(same, target) + functional.cross_entropy(same.T, target)) / 2
    named = logits[:, count : count + categories]
    names = functional.cross_entropy(named, batch.categories)
    pairs = functional.cross_entropy(logits[:, count + categories :], batch.pairs, ignore_index=-1)
    right = (named.argmax(dim=1) == batch.categories).float().mean()
    return captions, names, pairs, right


def _optimizer(network: Any, recipe: Recipe) -> torch.optim.Optimizer:
    groups = []
    for words in (False, True):
        mine = [
            p for name, p in network.named_parameters() if name.startswith(("visual.", "heads.")) != words
        ]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in mine if p.ndim > 1]),
            (0.0, [p for p in mine if p.ndim <= 1]),
        ):
            groups.append({"params": chosen, "weight_decay": decay, "words": words})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), foreach=True)


def _schedule(step: int, steps: int, warmup: int) -> float:
    if step < warmup:
        return max(0, step) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _average(averaged: Any, network: Any, keep: float) -> None:
    ours, theirs = averaged.state_dict(), network.state_dict()
    names = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[name] for name in names], [theirs[name] for name in names], 1 - keep)


def _restore(path: Path, network: Any, averaged: Any, optimizer: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    network.load_state_dict(saved["network"])
    averaged.load_state_dict(saved["averaged"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])


def _save_state(path: Path, step: int, network: Any, averaged: Any, optimizer: torch.optim.Optimizer) -> None:
    saved = {
        "step": step,
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    write_atomically(path, lambda scratch: torch.save(saved, scratch))


CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"

# Convolutions need fewer images than a transformer of this size; of the towers tried, CSPDarknet (Wang
# et al. 2020; timm's) learned most per second. CLIP's vocabulary ships with open_clip and half of the weights are its
# embeddings, so the text tower is narrow.
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
    "resize_mode": "longest",  # keep the aspect ratio
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
    save_tensors(folder / WEIGHTS_FILE, weights)


def seal(folder: Path) -> None:
    """Write the checksum of the weights into the config, beside what open_clip reads."""
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    config["weights"] = {"file": WEIGHTS_FILE, "sha256": file_sha256(folder / WEIGHTS_FILE)}
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
