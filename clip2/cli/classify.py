"""``clip2 classify``: names for object clouds and meshes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from clip2.cli.model_options import ModelOptions, print_notice, teacher_notice
from clip2.cli.scan_options import CloudCommand
from clip2.labels import UNKNOWN
from data_prep.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from clip2.classification import Classification
    from data_prep.scans import Frame


@dataclass(kw_only=True)
class Classify(CloudCommand):
    """Name object clouds or meshes, one object per file, from any list of labels."""

    clouds: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")]
    """Clouds .ply .pcd .xyz .bin .npy .las .laz .e57, or meshes .obj .off .stl .gltf .glb .dae .3mf."""
    options: ModelOptions
    unknown: Literal["keep", "name"] = "keep"
    """Objects unlike anything the model was trained on: keep them as "unknown", or name them like all others."""
    top: int = 3
    """Number of labels to show per object."""

    def run(self) -> int:
        """Classify and print."""
        from clip2.cli.terminal import Console

        if not self.clouds:
            raise InputError("no files given", field="FILE", fix="name at least one file")
        if self.top < 1:
            raise InputError(f"is {self.top}", field="--top", fix="give 1 or more")
        model = self.options.load_model()
        text = self.options.text_source(model)
        frames = self._frames()
        answer = model.classify(
            [frame.world_points() for frame in frames],
            self.options.labels,
            text,
            colors=[frame.colors for frame in frames],
        )
        note = teacher_notice(model)
        if self.json:
            document = answer.to_json([str(path) for path in self.clouds], self.top, self.unknown)
            print(json.dumps({**document, **({"note": note} if note else {})}))
        else:
            print_notice(note)
            Console().print(self._table(answer))
        return 0

    def _frames(self) -> list[Frame]:
        from clip2.preprocessing import local_coordinates

        frames = []
        for path in self.clouds:
            if path.is_dir():
                raise InputError("is a folder", source=path, fix="name the files in it, one object each")
            frame = self.open(path)[0]
            # The model would call its clouds by number; an error here names the file.
            local_coordinates(frame.world_points(), frame.colors, name=str(path))
            frames.append(frame)
        return frames

    def _answers(self, answer: Classification) -> Iterator[tuple[Path, list[tuple[str, float]], bool]]:
        """Each file, its best labels with scores, and whether it is called by the first of them."""
        named = [bool(known) or self.unknown == "name" for known in answer.in_distribution]
        return zip(self.clouds, answer.top(self.top), named, strict=True)

    def _table(self, answer: Classification) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold")
        table.add_column("file", overflow="fold")
        for rank in range(min(self.top, len(answer.labels))):
            table.add_column("label" if rank == 0 else "")
        for path, best, known in self._answers(answer):
            cells = [Text.assemble(label, " ", (f"{score:.2f}", "dim")) for label, score in best]
            if not known:  # the nearest label still tells what it looks like
                cells = [Text.assemble(UNKNOWN, (f" ({best[0][0]}?)", "dim"))]
            table.add_row(Text(str(path), overflow="fold"), *cells)
        return table
