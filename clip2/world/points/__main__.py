"""Command line ``python -m clip2.world.points``: mine, train, study, install."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import track

# Subfolder → setting, frames, seed, detector, unlabeled objects per place, frames per place. Objects of places with more
# than two frames are associated: most clouds of a fused scan are unlike those of a single frame.
FOLDERS: dict[str, tuple[str, int, int, str, int, int]] = {
    "room": ("room", 1800, 11, "good", 8, 2),
    "around": ("room", 1200, 13, "good", 8, 6),
    "street": ("street", 360, 11, "good", 0, 2),
    "eval-room": ("room", 200, 77, "perfect", 0, 2),
    "eval-street": ("street", 70, 77, "perfect", 0, 2),
    "fresh-room": ("room", 60, 78, "good", 0, 2),
    "fresh-street": ("street", 30, 78, "good", 0, 2),
    "noisy": ("room", 500, 12, "good", 0, 2),
    "perfect": ("room", 500, 12, "perfect", 0, 2),
}
# Subfolder → frames and seed. Eight frames of a room are fused, and its proposals are labeled by what they show.
FOUND: dict[str, tuple[int, int]] = {"found": (960, 17), "fresh-found": (160, 78), "eval-found": (160, 77)}
_FRAMES_PER_FOUND_ROOM = 8


@dataclass
class Mine:
    """Mine and embed the world's folders; continues where it was interrupted."""

    world: tyro.conf.Positional[Path]
    """Parent of the triplet folders."""
    only: tuple[str, ...] = (*FOLDERS, *FOUND)
    """Names of the folders."""
    frames: int | None = None
    """Frames of each folder, instead of the shipped numbers."""

    def run(self) -> int:
        """Mine and embed one folder after the other."""
        from clip2.teacher import Teacher
        from clip2.teacher.embed import embed_triplets
        from clip2.world.points.data import mine_world, world_scan
        from clip2.world.points.found import mine_found

        teacher, console = Teacher.load("mini"), Console(stderr=True)
        for name in track(self.only, "mining", console=console):
            if name in FOUND:
                frames, seed = FOUND[name]
                each = _FRAMES_PER_FOUND_ROOM
                rooms = world_scan("room", self.frames or frames, seed, frames_per_world=each, assemblies=3)
                mine_found(rooms, self.world / name)
                embed_triplets(self.world / name, teacher)
                continue
            setting, frames, seed, detector, assemblies, each = FOLDERS[name]
            scan = world_scan(
                setting,  # type: ignore[arg-type]
                self.frames or frames,
                seed,
                frames_per_world=each,
                detector=detector,
                assemblies=assemblies,
            )
            mine_world(scan, self.world / name, associate=each > 2)
            embed_triplets(self.world / name, teacher)
        return 0


@dataclass
class Train:
    """Train the shipped encoder on all categories without the held-out pairs, score it and prepare it for shipping."""

    world: tyro.conf.Positional[Path]
    """Made by ``mine``."""
    out: tyro.conf.Positional[Path]
    """Run folder."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE overrides of the training configuration."""

    def run(self) -> int:
        """Train, fit the out-of-distribution detector, score."""
        from clip2.world.points.data import load_world
        from clip2.world.points.ship import ship
        from clip2.world.points.study import train_encoder

        console = Console(stderr=True)
        learn = load_world([self.world / name for name in ("room", "around", "street", "found")])
        train_encoder(learn, self.out, overrides=self.set, console=console)
        card = ship(self.world, self.out, learn)
        print(json.dumps(card, indent=2))
        return 0


@dataclass
class Study:
    """Draws of unseen categories and ablations; continues where it was interrupted."""

    world: tyro.conf.Positional[Path]
    """Made by ``mine``."""
    out: tyro.conf.Positional[Path]
    """Parent of the run folders."""
    draws: tuple[int, ...] = (0, 1, 2)
    """Numbers of the draws of four unseen categories; each is the seed of its runs, too."""
    variants: tuple[str, ...] = ()
    """Names of variants; none: all."""
    part: tuple[int, int] = (0, 1)
    """K N: this process does every N-th run, starting at K."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE for every run."""

    def run(self) -> int:
        """Do the missing runs and print the table of all."""
        from clip2.world.points.study import VARIANTS, markdown, run_study, summary

        chosen = [v for v in VARIANTS if not self.variants or v.name in self.variants]
        run_study(
            self.world,
            self.out,
            variants=chosen,
            draws=self.draws,
            part=self.part,
            overrides=self.set,
            console=Console(stderr=True, width=160),
        )
        print(markdown(summary(self.out)))
        return 0


@dataclass
class Install:
    """Replace the shipped weights by a trained run."""

    run_folder: tyro.conf.Positional[Path]
    """Made by ``train``."""

    def run(self) -> int:
        """Copy the shipped files."""
        from clip2.world.points.ship import FILES, SHIPPED

        SHIPPED.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (self.run_folder / name).exists():
                shutil.copyfile(self.run_folder / name, SHIPPED / name)
        return 0


if __name__ == "__main__":
    commands: dict[str, Any] = {"mine": Mine, "train": Train, "study": Study, "install": Install}
    raise SystemExit(
        tyro.extras.subcommand_cli_from_dict(commands, prog="python -m clip2.world.points").run()
    )
