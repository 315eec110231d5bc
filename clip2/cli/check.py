"""``clip2 check``: diagnosis of a scan."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clip2.cli.scan_options import ScanCommand

if TYPE_CHECKING:
    from rich.console import Console

    from data_prep.check import CheckReport

EXIT_WRONG = 1


@dataclass(kw_only=True)
class Check(ScanCommand):
    """Read a sample of a scan and report its contents, missing parts and problems with their fixes.

    Checks poses (as given, inverted, none), depth scale, the up axis, points on images, times, duplicates, labels.
    Exit code 0: nothing wrong; 1: a finding is an error; 2: the scan cannot be opened.
    """

    frames: int = 8
    """Number of frames to read, in pairs of neighbors spread over the scan."""
    out: Path | None = None
    """Also write an HTML page: points on the images, a top view, all numbers."""

    def run(self) -> int:
        """Read, measure, report."""
        from clip2.cli.outputs import require_outputs
        from clip2.cli.terminal import Console
        from data_prep.check import check_scan
        from data_prep.check.page import write_check_page
        from data_prep.storage.files import writing

        if self.out is not None:
            require_outputs([self.out], [Path(self.root)], "--out")
        scan = self.open_scan()
        with Console(stderr=True).status("reading frames"):
            report = check_scan(scan, self.frames)
        if self.out is not None:
            with writing(self.out, "--out"):
                write_check_page(report, self.out)
        if self.json:
            record = {**report.to_json(), "page": None if self.out is None else str(self.out)}
            print(json_format.dumps(record, ensure_ascii=False))
        else:
            _show(Console(highlight=False), report)
            if self.out is not None:
                Console(highlight=False).print(f"page: {self.out}", markup=False, soft_wrap=True)
        return 0 if report.ok else EXIT_WRONG


def _show(console: Console, report: CheckReport) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(
        f"{report.source} {report.root}: {report.frames:,} frames, {len(report.sample.notes)} read",
        markup=False,
        soft_wrap=True,
    )
    for name, text in report.there.items():
        console.print(f"  {name}: {text}", markup=False, soft_wrap=True)
    if report.missing:
        console.print(f"  missing: {', '.join(report.missing)}", markup=False, soft_wrap=True)
    styles = {"ok": "green", "warning": "yellow", "error": "bold red"}
    table = Table("", "check", "measurement and fix")
    for finding in report.findings:
        told = Text(finding.message)  # ids and paths may hold brackets
        if finding.fix:
            told.append(f"\nFix: {finding.fix}", style=styles[finding.severity])
        table.add_row(Text(finding.severity, style=styles[finding.severity]), finding.check, told)
    console.print(table)
