"""``clip2 classify``: what is the object in this file?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.model import Classification


@dataclass
class Classify:
    """Name object clouds or meshes, one object per file, from any list of words."""

    clouds: tyro.conf.Positional[tuple[Path, ...]]
    """Files: .ply .pcd .xyz .bin .npy, or meshes .obj .off .glb."""
    labels: str
    """The words to choose from, separated by commas: "mug,bottle"."""
    model: str | None = None
    """A run folder, local-dir:FOLDER or hf-hub:ORG/NAME."""
    up: str = "z"
    """The axis that points up in the files: x, y, z, -x, -y or -z."""
    top: int = 3
    """How many words to show per object."""
    bank: Path | None = None
    """Text bank (npz) to look words up in, instead of the model's own."""
    bank_model: str | None = None
    """The CLIP model the bank's vectors come from, if the file does not say it."""
    clip: str | None = None
    """CLIP model NAME/TAG whose text tower turns words into vectors, instead of a bank; or local-dir:FOLDER."""
    clip_model: str | None = None
    """What a local-dir: of --clip holds, as NAME/TAG."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object."""

    def run(self) -> int:
        from clip2.cli.words import load_model, text_source
        from data_prep.scans import open_scan

        if not self.clouds:
            raise InputError("no files given", field="CLOUD", fix="name at least one file")
        if self.top < 1:
            raise InputError(f"is {self.top}", field="--top", fix="give 1 or more")
        model = load_model(self.model)
        text = text_source(model, self.bank, self.bank_model, self.clip, self.clip_model)
        frames = [open_scan("cloud", path, up=self.up)[0] for path in self.clouds]
        answer = model.classify(
            [frame.world_points() for frame in frames],
            self.labels,
            text,
            colors=[frame.colors for frame in frames],
        )
        if self.json:
            print(json.dumps(self._document(answer)))
        else:
            Console().print(self._table(answer))
        return 0

    def _document(self, answer: Classification) -> dict[str, object]:
        return {
            "labels": list(answer.labels),
            "objects": [
                {
                    "file": str(path),
                    "label": best[0][0],
                    "score": best[0][1],
                    "top": [{"label": label, "score": score} for label, score in best],
                }
                for path, best in zip(self.clouds, answer.top(self.top), strict=True)
            ],
        }

    def _table(self, answer: Classification) -> Table:
        table = Table(box=None, header_style="bold")
        table.add_column("file", overflow="fold")
        for rank in range(min(self.top, len(answer.labels))):
            table.add_column("word" if rank == 0 else "")
        for path, best in zip(self.clouds, answer.top(self.top), strict=True):
            table.add_row(str(path), *(f"{label} [dim]{score:.2f}[/dim]" for label, score in best))
        return table
