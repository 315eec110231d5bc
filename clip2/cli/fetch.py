"""``clip2 fetch``: a public point encoder and its CLIP's text tower, for later use without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import tyro


@dataclass
class Fetch:
    """Download a public point encoder, convert it, and download the CLIP model whose text tower reads its labels.

    Lists every file with size and license first. After an interruption the same command continues. Afterwards clip2
    recognize --model NAME needs no network.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """One of clip2 info --pretrained."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """List, download, convert."""
        from rich.table import Table

        from clip2.cli.terminal import Console
        from clip2.pretrained.catalog import find_pretrained
        from clip2.pretrained.fetch import fetch_pretrained, planned_files
        from clip2.teacher.text_tower import find_text_tower
        from data_prep.storage.room import megabytes

        entry = find_pretrained(self.name)
        console = Console(stderr=True)
        table = Table("what", "from", "size", "license", "here", box=None, header_style="bold")
        files = planned_files(entry)
        for one in files:
            size = "?" if one.size is None else megabytes(one.size)
            table.add_row(
                one.what,
                f"{one.file.repository} {one.file.file}",
                size,
                one.license,
                "yes" if one.here else "no",
            )
        console.print(table)
        folder = fetch_pretrained(entry.name)
        _, tower = find_text_tower(entry.clip)
        facts: dict[str, Any] = {
            "name": entry.name,
            "folder": str(folder),
            "clip": entry.clip,
            "text_weights": str(tower),
            "license": entry.license,
        }
        if self.json:
            print(json.dumps(facts))
        else:
            console.print(f"{entry.name}: {folder}", highlight=False, soft_wrap=True, markup=False)
            console.print(
                f"text tower of {entry.clip}: {tower}", highlight=False, soft_wrap=True, markup=False
            )
            console.print(
                f'now: clip2 recognize SCAN --model {entry.name} --labels "chair,table"',
                highlight=False,
                markup=False,
            )
        return 0
