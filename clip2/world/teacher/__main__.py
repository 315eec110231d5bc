"""Command line ``python -m clip2.world.teacher``: train and score the mini teacher."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import track

POOL = "pictures"


@dataclass
class Train:
    """Draw images of the synthetic world, train on them, calibrate and score. An interrupted run continues."""

    out: tyro.conf.Positional[Path]
    """Folder for images (several GB), weights, log and score card."""
    seed: int = 0
    """Seed of the images and the training."""
    steps: int | None = None
    """Optimizer steps; default: those of the shipped weights."""
    objects: int | None = None
    """Single objects to draw; default: those of the shipped weights."""
    scenes: int | None = None
    """Rooms to draw, with a fifth as many streets; default: those of the shipped weights."""
    workers: int = 2
    """Processes that draw; the images and batches do not depend on it."""
    threads: int | None = None
    """Threads of the network; default: one per core."""
    device: str = "cpu"
    """Device of the training: cpu or cuda."""

    def run(self) -> int:
        """Draw, train, calibrate and score."""
        import torch

        from clip2.world.teacher.pictures import Pool
        from clip2.world.teacher.training import Recipe, train

        console = Console(stderr=True)
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        pool = Pool(self.out / POOL, seed=self.seed)
        if self.objects is not None:
            pool = replace(pool, objects=self.objects)
        if self.scenes is not None:
            pool = replace(pool, rooms=self.scenes, streets=max(1, self.scenes // 5))
        missing = sum(not job[0].exists() for job in pool.jobs())
        for _ in track(pool.draw(self.workers), "drawing", total=missing, console=console):
            pass
        recipe = Recipe(seed=self.seed)
        if self.steps is not None:
            recipe = replace(recipe, steps=self.steps)
        train(pool.load(), self.out, recipe, console=console, device=self.device)
        return Score(self.out, self.seed).run()


@dataclass
class Score:
    """Calibrate the temperature on fresh objects, score others, and write both beside the weights."""

    folder: tyro.conf.Positional[Path]
    """Folder with config and weights."""
    seed: int = 0
    """Seed of the fresh objects; no seed repeats training objects."""

    def run(self) -> int:
        """Calibrate, write the checksum, score, print."""
        from clip2.teacher.teacher import Teacher
        from clip2.world.teacher.score_card import calibrate, measure
        from clip2.world.teacher.training import seal

        calibrate(self.folder, self.seed)
        card = measure(Teacher.load(f"local-dir:{self.folder}", precision="fp32"), self.seed)
        (self.folder / "score_card.json").write_text(json.dumps(card.figures(), indent=2) + "\n")
        seal(self.folder)
        print(json.dumps(card.figures(), indent=2))
        return 0


if __name__ == "__main__":
    command = tyro.extras.subcommand_cli_from_dict(
        {"train": Train, "score": Score}, prog="python -m clip2.world.teacher"
    )
    raise SystemExit(command.run())
