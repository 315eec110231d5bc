"""``clip2 classify``: what is the object in this file?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clip2.cli.words import WordOptions, limits_of, say
from clip2.labels import UNKNOWN
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.model import Classification
    from data_prep.scans import Frame


@dataclass
class Classify:
    """Name object clouds or meshes, one object per file, from any list of words."""

    clouds: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")]
    """Clouds .ply .pcd .xyz .bin .npy .las .laz .e57, or meshes .obj .off .glb."""
    words: WordOptions
    up: str | None = None
    """The axis that points up in the files: x, y, z, -x, -y or -z. Default: z, for .glb y."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the reader as key=value, for example columns=6 for a .bin of x y z r g b; may be repeated."""
    unknown: Literal["keep", "name"] = "keep"
    """Objects unlike all that the model was trained on: keep them "unknown", or name them all the same."""
    top: int = 3
    """How many words to show per object."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        if not self.clouds:
            raise InputError("no files given", field="FILE", fix="name at least one file")
        if self.top < 1:
            raise InputError(f"is {self.top}", field="--top", fix="give 1 or more")
        model = self.words.load_model()
        text = self.words.text_source(model)
        frames = self._frames()
        answer = model.classify(
            [frame.world_points() for frame in frames],
            self.words.labels,
            text,
            colors=[frame.colors for frame in frames],
        )
        note = limits_of(model)
        if self.json:
            print(json.dumps({**self._document(answer), **({"note": note} if note else {})}))
        else:
            say(note)
            Console().print(self._table(answer))
        return 0

    def _frames(self) -> list[Frame]:
        from clip2.cli.key_values import parameter_types, typed_options
        from clip2.preprocessing import local_coordinates
        from data_prep.scans import open_scan
        from data_prep.scans.scan import find_opener

        given = self.option if self.up is None else (*self.option, f"up={self.up}")
        options = typed_options(
            given, parameter_types(find_opener("cloud")), option="--option", owner="cloud files"
        )
        frames = []
        for path in self.clouds:
            if path.is_dir():
                raise InputError("is a folder", source=path, fix="name the files in it, one object each")
            frame = open_scan("cloud", path, **options)[0]
            # The model numbers its clouds; here they have names.
            local_coordinates(frame.world_points(), frame.colors, name=str(path))
            frames.append(frame)
        return frames

    def _document(self, answer: Classification) -> dict[str, object]:
        return {
            "labels": list(answer.labels),
            "objects": [
                {
                    "file": str(path),
                    "label": best[0][0] if known else UNKNOWN,
                    "score": best[0][1] if known else 0.0,
                    "top": [{"label": label, "score": score} for label, score in best],
                }
                for path, best, known in self._answers(answer)
            ],
        }

    def _answers(self, answer: Classification) -> Iterator[tuple[Path, list[tuple[str, float]], bool]]:
        """Each file, its best words, and whether it is to be called by them."""
        named = [bool(known) or self.unknown == "name" for known in answer.familiar]
        return zip(self.clouds, answer.top(self.top), named, strict=True)

    def _table(self, answer: Classification) -> Table:
        table = Table(box=None, header_style="bold")
        table.add_column("file", overflow="fold")
        for rank in range(min(self.top, len(answer.labels))):
            table.add_column("word" if rank == 0 else "")
        for path, best, known in self._answers(answer):
            words = [Text.assemble(label, " ", (f"{score:.2f}", "dim")) for label, score in best]
            if not known:  # what it would have been called says what it looks like
                words = [Text.assemble(UNKNOWN, (f" ({best[0][0]}?)", "dim"))]
            table.add_row(Text(str(path), overflow="fold"), *words)
        return table
