"""Command ``clip2 demo``: the whole path on the synthetic world."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Demo:
    """Run the whole path offline on the synthetic world, from scans to named objects, and write a report page.

    Training continues from the shipped mini-points, which learned from other scenes of this world. The teacher is "mini", a small stand-in for CLIP that knows only this world. Interrupted, the same command continues.
    """

    out: Path = Path("demo")
    """Folder for all results."""
    words: str = ""
    """Labels to look for in the two recognized scenes, separated by commas: "red chair, something to sit on".
    Default: all labels of each setting."""
    seed: int = 0
    """Seed of the world and the training."""
    quick: bool = False
    """Smoke test: a few frames and steps, too few to learn anything."""
    json: bool = False
    """Print one JSON object with the metrics."""

    def run(self) -> int:
        """Run the demo, print the scores and the path of the report."""
        from rich.table import Table

        from clip2.cli.terminal import Console
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
            "objects of unseen scenes",
            "how many",
            "labels",
            "most frequent",
            "mini-points, at the start",
            "this run",
            "teacher mini",
        )
        for name, each in result.naming.items():
            start = each.shipped.top1 if each.shipped is not None else float("nan")
            shares = (
                f"{share:.1%}" for share in (each.commonest, start, each.encoder.top1, each.teacher.top1)
            )
            table.add_row(name, str(each.objects), str(each.words), *shares)
        out = Console(highlight=False)
        out.print(table)
        out.print(
            "The teacher is mini, a small stand-in trained on this synthetic world only. It is not CLIP."
        )
        out.print(f"{sum(result.seconds.values()):.0f} s. Open {result.report}", soft_wrap=True, markup=False)
        return 0
