"""Curves of a run as a picture: losses, accuracy, learning rate and speed over the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clip2.training.loggers import read_metrics
from data_prep.storage.extras import require_extra
from data_prep.storage.files import write_atomically

CURVES_FILE = "curves.png"
# Title → metric → its name in the legend.
_PANELS: dict[str, dict[str, str]] = {
    "loss": {"train/loss": "total", "train/text_loss": "text–point", "train/image_loss": "image–point"},
    "held-out objects named correctly": {
        "held_out/top1": "top-1",
        "held_out/top5": "top-5",
        "held_out/top1_class_mean": "top-1, class mean",
    },
    "learning rate": {"train/lr": "learning rate"},
    "objects per second": {"train/objects_per_second": "objects/s"},
}


def draw_curves(run: Path) -> None:
    """Draw the metrics of a run as ``curves.png`` in its folder; without metrics, nothing.

    Args:
        run: the run's folder.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_extra("matplotlib", "eval", needed_for="the curves of the run")
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    records = read_metrics(run)
    panels = {
        title: found
        for title, names in _PANELS.items()
        if (found := {label: values for name, label in names.items() if (values := _series(records, name))})
    }
    if not panels:
        return
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(10, 3.2 * rows), layout="constrained")
    figure.suptitle(run.resolve().name)
    for place, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, 2, place)
        for label, values in curves.items():
            axes.plot(*zip(*values, strict=True), label=label, marker="o" if len(values) < 30 else "", ms=3)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        if title.startswith("held-out"):
            axes.set_ylim(0, 1.03)  # a curve at 100 % stays visible
            axes.yaxis.set_major_formatter("{x:.0%}")
        if len(curves) > 1:
            axes.legend()
    write_atomically(run / CURVES_FILE, lambda path: figure.savefig(path, format="png", dpi=110))


def _series(records: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(record["step"], record[name]) for record in records if name in record]
