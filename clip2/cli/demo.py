"""Command ``clip2 demo``: the whole path on the synthetic world."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Demo:
    """Run the whole path offline on the synthetic world, from scans to named objects, and write a report page.

    The teacher is "mini", a small stand-in for CLIP that knows only this world. Interrupted, the same command continues.
    """

    out: Path = Path("demo")
    """Folder for everything it makes."""
    words: str = ""
    """What to look for in the two scenes it recognizes, separated by commas: "red chair, something to sit on".
    Default: everything they may hold."""
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

        from clip2.labels import parse_labels
        from clip2.world.demo.plan import Plan
        from data_prep.errors import InputError

        if self.seed < 0:
            raise InputError(f"is {self.seed}", field="--seed", fix="give 0 or more")
        words = parse_labels(self.words, source="--words") if self.words else ()
        plan = Plan.quick(self.seed) if self.quick else Plan(seed=self.seed)

        from clip2.world.demo.stages import run_demo

        result = run_demo(self.out, plan, words, Console(stderr=True))
        if self.json:
            print(json_format.dumps(result.figures()))
            return 0
        table = Table(
            "objects of unseen scenes", "how many", "words", "commonest word", "this run", "teacher mini"
        )
        for name, each in result.naming.items():
            shares = (f"{share:.1%}" for share in (each.commonest, each.encoder.top1, each.teacher.top1))
            table.add_row(name, str(each.objects), str(each.words), *shares)
        out = Console(highlight=False)
        out.print(table)
        out.print(
            "The teacher is mini, a small stand-in trained on this synthetic world only. It is not CLIP."
        )
        out.print(f"{sum(result.seconds.values()):.0f} s. Open {result.report}", soft_wrap=True, markup=False)
        return 0
