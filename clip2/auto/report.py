"""Report page of ``clip2 auto``: what was done, how well the model names held-out objects, and the recognized frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

from clip2.auto.stages import Record, Stage
from data_prep.report.page import Page

REPORT_FILE = "report.html"
_SHOWN = 40  # objects per frame


def write_report(out: Path, title: str, stages: Sequence[Stage], record: Record) -> Path:
    """Write ``report.html``; returns its path.

    Args:
        out: the output folder, all stages done.
        title: names the scan.
        stages: all stages.
        record: their seconds.
    """
    training = json.loads((out / "run" / "config.json").read_text(encoding="utf-8"))["training"]
    page = Page(title, _summary(training))
    page.heading("How well it names objects it was not trained on").paragraph(_score(training))
    page.paragraph(f"Objects per label: {', '.join(f'{label} {count}' for label, count in _counts(out))}.")
    results = [(stage, result.with_suffix(".html")) for stage in stages for result in stage.results]
    page.heading("Pages").links(
        [(relpath(file, out), f"{stage.name}: {stage.purpose}") for stage, file in results if file.is_file()]
    )
    for stage in stages:
        if stage.name.startswith("recognize"):
            page.heading(stage.name.capitalize())
            objects = json.loads(stage.results[0].read_text(encoding="utf-8"))["objects"]
            page.paragraph(f"{len(objects)} objects, the likeliest first.")
            page.table(
                ["label", "score", "center (m)", "size (m)"],
                [
                    [o["label"], round(o["score"], 2), _meters(o["center"]), _meters(o["size"])]
                    for o in objects[:_SHOWN]
                ],
            )
    page.heading("Stages, each an ordinary command")
    rows = [
        [
            stage.name,
            stage.purpose,
            record.stages[stage.name]["seconds"],
            f"clip2 {' '.join(stage.arguments)}",
        ]
        for stage in stages
    ]
    page.table(["stage", "purpose", "seconds", "command"], rows)
    return page.write(out / REPORT_FILE)


def mined_labels(out: Path, least: int) -> list[str]:
    """Labels with at least ``least`` objects in the triplets of ``out``, the most frequent first.

    Labels that hold a comma are left out: a command line could not tell them from two.
    """
    return [label for label, count in _counts(out) if count >= least and "," not in label]


def _counts(out: Path) -> list[tuple[str, int]]:
    from data_prep.report.metrics import measure_triplets
    from data_prep.triplets import open_triplets

    return [(label.word, label.objects) for label in measure_triplets(open_triplets(out / "triplets")).words]


def _summary(training: dict[str, Any]) -> str:
    return (
        f"{training['objects']} objects of {training['texts']} labels were cut out of the scan and trained on for "
        f"{training['seconds'] / 60:.1f} minutes; {training['objects_held_out']} objects of other frames were kept back."
    )


def _score(training: dict[str, Any]) -> str:
    if "held_out/top1" not in training:
        return "No frames were held out, so this is not known. Set train.data.hold_out=0.15 to measure it."
    return (
        f"Among {training['texts']} labels, {training['held_out/top1']:.0%} of {training['objects_held_out']} objects of "
        f"held-out frames get the detector's label ({training['held_out/top1_class_mean']:.0%} as the mean over "
        "labels). The detector's own errors count as truth here, and frames of one sequence show the same things, so "
        "this is an upper bound for another place."
    )


def _meters(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
