"""The map, the index and the evaluation result of this folder.

PYTHONPATH=.:tests python tests/data/v0.1.0/make_map_and_index.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from siege.targets_models import write_map
from support.index_writers import SPACE, objects

from clip2 import Index
from clip2.evaluation.result import ClassRow, Conditions, Confusion, Curve, EvalResult, Metric, write_results


def main(out: Path) -> None:
    out.mkdir(parents=True)
    write_map(out)
    for name in ("index.html", "objects.ply"):  # nobody reads them back
        (out / "map" / name).unlink()
    Index(out / "index").add(objects(6), SPACE)
    result = EvalResult(
        benchmark="modelnet10",
        summary="zero-shot",
        count=10,
        metrics={"top-1": Metric(0.5, 0.2, 0.8), "rank": Metric(float("nan"), unit="rank")},
        conditions=Conditions(counted="10 objects", points="all", seed=0, other={"a": "b"}),
        classes=(ClassRow("chair", 10, {"top-1": 0.5}), ClassRow("table", 0, {"top-1": float("nan")})),
        confusion=Confusion(("chair", "table"), ((5, 5), (0, 0))),
        curves=(Curve("noise", "gaussian", "severity", "top-1", (1.0, 2.0), (0.5, 0.25), (0.1, 0.1)),),
        notes=("a note",),
        model="mini-points",
    )
    write_results(out / "results.json", [result])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
