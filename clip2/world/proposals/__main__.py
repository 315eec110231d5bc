"""Command line ``python -m clip2.world.proposals``: train the shipped proposal scorers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import track

SHIPPED = Path(__file__).parents[2] / "weights" / "proposals"


@dataclass
class TrainRoom:
    """Train ``room-borders`` and ``room-nodes`` on synthetic rooms and table tops; about 10 minutes of one core."""

    out: Path = SHIPPED
    """Folder for the two files."""
    clouds: int = 70
    """Number of each kind: rooms, table tops, fused ones, boxes."""
    seed: int = 0
    """Of worlds, networks and choice of examples."""

    def run(self) -> int:
        """Render, train, write."""
        from clip2.world.proposals.clouds import training_clouds
        from clip2.world.proposals.room import save, train

        console = Console(stderr=True)
        clouds = track(
            training_clouds(self.clouds, self.seed), "rendering", total=4 * self.clouds, console=console
        )
        save(train(clouds, self.seed, console.print), self.out)
        return 0


@dataclass
class TrainLidar:
    """Train ``lidar`` on synthetic streets swept by sensors of 16 to 128 beams; a few minutes of one core."""

    out: Path = SHIPPED
    """Folder for the file."""
    sweeps: int = 100
    """Number of streets, each swept once."""
    seed: int = 90_000
    """Of worlds, clutter and network."""

    def run(self) -> int:
        """Render, train, write."""
        from clip2.world.proposals.lidar import train

        self.out.mkdir(parents=True, exist_ok=True)
        train(self.sweeps, self.seed).save(self.out / "lidar.safetensors")
        return 0


if __name__ == "__main__":
    commands: dict[str, Any] = {"room": TrainRoom, "lidar": TrainLidar}
    raise SystemExit(
        tyro.extras.subcommand_cli_from_dict(commands, prog="python -m clip2.world.proposals").run()
    )
