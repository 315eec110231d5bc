"""``clip2 demo``: the whole path on a made-up world."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Demo:
    """Scans, boxes, triplets, training and recognition on a small made-up world, offline; ends with a page to open.

    Interrupted, the same command continues.
    """

    out: Path = Path("demo")
    """Folder for everything it makes."""
    seed: int = 0
    """Of the world and the training."""
    quick: bool = False
    """A few frames and steps: shows that it runs, not that it learns."""
    json: bool = False
    """Print one JSON object with the figures."""

    def run(self) -> int:
        """Run it and say where to look."""
        from rich.console import Console
        from rich.table import Table

        from clip2.demo.stages import QUICK, Plan, run_demo

        console = Console(stderr=True)
        result = run_demo(self.out, self.seed, QUICK if self.quick else Plan(), console)
        if self.json:
            print(json_format.dumps(result.figures()))
            return 0
        table = Table("setting", "objects", "words", "top-1", title="objects of unseen scenes, named")
        for setting, score in result.score.items():
            table.add_row(setting, f"{score['objects']:.0f}", f"{score['words']:.0f}", f"{score['top1']:.1%}")
        out = Console(highlight=False)
        out.print(table)
        out.print("No CLIP was used: random word vectors stand in for it (the page says what that means).")
        out.print(f"{sum(result.seconds.values()):.0f} s. Open {result.report}", soft_wrap=True)
        return 0
