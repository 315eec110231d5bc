"""Results of a run of ``clip2 demo``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clip2.world.demo.plan import Plan
from clip2.world.demo.queries import Query, Recognized
from clip2.world.demo.scenes import SettingFiles
from clip2.world.demo.scoring import Naming, card
from data_prep.world import Setting

TEACHER = "mini"


@dataclass
class DemoResult:
    """Content of the report.

    Attributes:
        out: folder of the run.
        plan: plan of the run.
        words: labels asked for in the recognized scenes; empty: all labels of each setting.
        seconds: duration of each stage, summed over calls.
        parameters: number of parameters of the trained model.
        mined: counts of ``mine`` per setting.
        naming: scores on unseen objects, by setting and together.
        recognized: one scene of each setting.
        queries: free questions to both.
        report: the HTML page.
    """

    out: Path
    plan: Plan
    words: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    mined: dict[Setting, dict[str, Any]] = field(default_factory=dict)
    naming: dict[str, Naming] = field(default_factory=dict)
    recognized: dict[Setting, Recognized] = field(default_factory=dict)
    queries: list[Query] = field(default_factory=list)
    report: Path = Path()

    def files(self, setting: Setting) -> SettingFiles:
        """Folder of a setting."""
        return SettingFiles(self.out, setting)

    def figures(self) -> dict[str, Any]:
        """The JSON part of the results."""
        return {
            "out": str(self.out),
            "report": str(self.report),
            "plan": self.plan.name,
            "seed": self.plan.seed,
            "teacher": TEACHER,
            "mined": self.mined,
            "score_card": card(self.naming),
            "naming": {name: each.figures() for name, each in self.naming.items()},
            "recognized": {name: each.figures() for name, each in self.recognized.items()},
            "queries": [query.figures() for query in self.queries],
            "seconds": {stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
        }
