"""``clip2 index``: objects of results, maps and triplets in one searchable table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import tyro

from clip2.cli.model_options import ModelChoice
from data_prep.errors import InputError


@dataclass(kw_only=True)
class IndexCommand:
    """Put the objects of recognition results, maps and triplet folders into an index for clip2 search.

    Adding the same again adds nothing. Several commands may add to one index at the same time.

    After an interruption the same command continues.
    """

    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH [PATH ...]")]
    """Results of clip2 recognize (JSON), map folders, triplet folders."""
    out: str
    """Folder of the index, made if it is missing; or a URL like s3://bucket/fleet."""
    scan: str = ""
    """Name of the scan; default: the name of each file or folder."""
    options: ModelChoice
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Add and report."""
        from clip2.cli.terminal import Console
        from clip2.search import Index
        from clip2.search.sources import needs_model

        if not self.paths:
            raise InputError("no results given", field="PATH", fix="name at least one")
        index = Index(self.out)
        model = self.options.load_model() if any(map(needs_model, self.paths)) else None
        added = dict.fromkeys(self.paths, 0)
        console = Console(stderr=True)
        for path in self.paths:
            with console.status(f"adding {path}"):
                added[path] += index.add_path(path, model, self.scan)
        if self.json:
            print(
                json.dumps({"index": self.out, "model": index.model, "objects": len(index), "added": added})
            )
            return 0
        for path, count in added.items():
            Console().print(f"{path}: {count:,} new objects", highlight=False, markup=False, soft_wrap=True)
        Console().print(f"{self.out}: {len(index):,} objects", highlight=False, markup=False, soft_wrap=True)
        return 0
