"""``clip2 inspect``: contents of a triplet set."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from data_prep.report.counted import counted

if TYPE_CHECKING:
    from rich.console import Console

    from data_prep.report.metrics import TripletMetrics
    from data_prep.triplets import TripletSet

PAGE = "inspect.html"


@dataclass
class Inspect:
    """Summarize a triplet set (counts, points, labels, rejections) and write an HTML page of samples.

    Exit code 0: sound; 2: it cannot be read, or a shard differs from its checksum.
    """

    triplets: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRIPLETS")]
    """Folder made by `clip2 prep`."""
    html: Path | None = None
    """Where to write the self-contained page: crops beside clouds, points drawn on the images. Default:
    inspect.html in the folder."""
    scan_root: Path | None = None
    """Where the scan's folder is now, if it has moved; its images are needed for the page."""
    verify: bool = False
    """First compare every shard with its checksum and decode every triplet."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def run(self) -> int:
        """Read, report, and write the page."""
        from clip2.cli.outputs import require_outputs
        from clip2.cli.terminal import Console
        from data_prep.report.gallery import write_gallery
        from data_prep.report.metrics import measure_triplets
        from data_prep.storage.files import writing
        from data_prep.triplets import open_triplets
        from data_prep.triplets.manifest import MANIFEST

        triplets = open_triplets(self.triplets)
        page = triplets.path / PAGE if self.html is None else self.html
        files = [triplets.path / shard.name for shard in triplets.shards]
        require_outputs([page], [*files, triplets.path / MANIFEST], "--html")
        if self.verify:
            triplets.verify()
        metrics = measure_triplets(triplets)
        with writing(page, "--html"):
            write_gallery(triplets, metrics, page, self.scan_root)
        if self.json:
            manifest = triplets.manifest
            record = {
                "path": str(self.triplets),
                "source": manifest.source,
                "finished": manifest.finished,
                "is_ground_truth": manifest.is_ground_truth,
                "totals": manifest.totals,
                "verified": self.verify,
                **metrics.to_json(),
                "html": str(page),
            }
            print(json_format.dumps(record, ensure_ascii=False))
        else:
            _report(Console(highlight=False), triplets, metrics)
            Console(highlight=False).print(f"page: {page}", markup=False, soft_wrap=True)
        return 0


def _report(console: Console, triplets: TripletSet, metrics: TripletMetrics) -> None:
    from rich.table import Table
    from rich.text import Text

    from data_prep.report.gallery import range_name

    manifest = triplets.manifest
    totals = manifest.totals
    console.print(
        f"{counted(metrics.objects, 'object')} of {manifest.source}, {counted(totals['frames'], 'frame')}, "
        f"{counted(len(manifest.shards), 'shard')}, {totals['bytes'] / 1e6:.1f} MB; "
        f"{metrics.with_colors:,} with color, {metrics.with_crop:,} with a crop",
        soft_wrap=True,
        markup=False,
    )
    if not manifest.finished:
        console.print(
            "not finished: run the same `clip2 prep` again to continue", style="yellow", markup=False
        )
    if manifest.is_ground_truth:
        console.print("the boxes are labels, not a detector's")

    def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
        if rows:
            result = Table(*columns, title=title, title_justify="left")
            for column in result.columns[1:]:
                column.justify = "right"
            for row in rows:
                result.add_row(*map(Text, row))  # labels and files may hold brackets
            console.print(result)

    names = {0: "least", 100: "most"}
    table(
        "points per object",
        [names.get(p, f"{p} %") for p in metrics.points_per_object],
        [[f"{value:,.0f}" for value in metrics.points_per_object.values()]] if metrics.objects else [],
    )
    table(
        "by distance from the camera",
        ["distance", "objects", "median points"],
        [[range_name(r.near, r.far), f"{r.objects:,}", f"{r.median_points:,.0f}"] for r in metrics.by_range],
    )
    table(
        f"labels ({len(metrics.words):,})",
        ["label", "objects", "median points"],
        [[w.word, f"{w.objects:,}", f"{w.median_points:,.0f}"] for w in metrics.words[:30]],
    )
    refused = {
        **metrics.rejections,
        **{f"in the file: {k}": n for k, n in metrics.skipped_detections.items()},
    }
    table("refused detections", ["reason", "count"], [[k, f"{n:,}"] for k, n in refused.items()])
    table("bad frames", ["frame", "why"], [list(row) for row in metrics.bad_frames[:20]])
