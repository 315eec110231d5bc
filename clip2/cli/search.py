"""``clip2 search``: objects of all indexed scans, by words, images, clouds and places."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from clip2.cli.model_options import ModelChoice, print_notice, teacher_notice
from data_prep.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clip2.object_model import ObjectModel
    from clip2.search.hits import Hit


@dataclass(kw_only=True)
class Search:
    """Find the objects of an index that are most like a label, an image or a cloud; several together are one query."""

    index: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DB")]
    """Index made by clip2 index."""
    query: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[QUERY]")] = None
    """What to look for, like "red mug"."""
    options: ModelChoice
    image: Path | None = None
    """Image of the object, cropped around it; embedded by the model's CLIP (--clip, unless it ships with clip2)."""
    cloud: Path | None = None
    """Cloud or mesh file of the object."""
    near: str | None = None
    """Only objects in a ball: x,y,z,radius in meters."""
    since: str | None = None
    """Only objects seen at or after this moment: 2026-11-29, 2026-11-29T08:30 (UTC), or seconds."""
    until: str | None = None
    """Only objects seen at or before this moment."""
    scan: str | None = None
    """Only objects of this scan or map, by name."""
    top: int = 10
    """Number of objects to find."""
    exact: bool = False
    """Compare with every object, without the vector index."""
    html: Path | None = None
    """Page to write, with crops and clouds of what was found."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Search and print."""
        from clip2.cli.outputs import require_outputs
        from clip2.cli.terminal import Console
        from clip2.search import Index
        from clip2.search.page import write_hits
        from data_prep.storage.files import writing

        if self.query is None and self.image is None and self.cloud is None:
            raise InputError(
                "is missing", field="QUERY", fix='give a label like "red mug", --image or --cloud'
            )
        if self.html is not None:
            inputs = [path for path in (self.image, self.cloud, self.options.bank) if path is not None]
            require_outputs([self.html], inputs, "--html")
        index = Index(self.index)
        if not index.model:
            raise InputError(
                "is no index, or an empty one", source=self.index, fix="make it with clip2 index"
            )
        model = self.options.load_model()
        hits = index.search(
            self._vector(model),
            model.teacher.name,
            self.top,
            near=_numbers(self.near),
            since=_moment(self.since, "--since"),
            until=_moment(self.until, "--until"),
            scan=self.scan,
            exact=self.exact,
        )
        title = self._title()
        if self.html is not None:
            intro = f"The {len(hits)} best of {len(index):,} objects in {self.index}. {teacher_notice(model)}"
            with writing(self.html, "--html"):
                write_hits(self.html, title, intro, hits)
        if self.json:
            print(json.dumps({"query": title, "index": self.index, "hits": [hit.to_json() for hit in hits]}))
            return 0
        print_notice(teacher_notice(model))
        Console().print(_table(hits))
        if self.html is not None:
            Console().print(f"wrote {self.html}", highlight=False, markup=False, soft_wrap=True)
        return 0

    def _title(self) -> str:
        parts = [self.query, *(path and path.name for path in (self.image, self.cloud))]
        return " + ".join(part for part in parts if part)

    def _vector(self, model: ObjectModel) -> NDArray[np.float32]:
        """One direction from label, image and cloud."""
        from clip2.search.hits import mean_direction
        from data_prep.scans import open_scan

        vectors = []
        if self.query is not None:
            vectors.append(self.options.text_source(model).embed_labels([self.query])[0])
        if self.image is not None:
            vectors.append(self._image_vector(self.image, model))
        if self.cloud is not None:
            frame = open_scan("cloud", self.cloud)[0]
            vectors.append(model.describe([frame.world_points()], [frame.colors]).embeddings[0])
        return mean_direction(vectors)

    def _image_vector(self, image: Path, model: ObjectModel) -> NDArray[np.float32]:
        from clip2.teacher import Teacher
        from clip2.teacher.bundled import bundled_teacher
        from data_prep.scans.formats.images import read_image

        bundled = bundled_teacher(model.teacher.name)
        name = self.options.clip or (None if bundled is None else bundled.name)
        if name is None:
            raise InputError(
                "needs the model's CLIP", field="--image", fix=f"add --clip {model.teacher.name}"
            )
        teacher = Teacher.load(name, self.options.device, model=self.options.clip_model)
        model.teacher.require(teacher)
        return teacher.encode_images([read_image(image)])[0]


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"is {text!r}", field="--near", fix="give x,y,z,radius like 1.5,0,0.8,2") from None


def _moment(text: str | None, field: str) -> float | None:
    """Seconds since 1970 of a date or of a number."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"is {text!r}", field=field, fix="give 2026-11-29, 2026-11-29T08:30 or seconds"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _table(hits: list[Hit]) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in ("similarity", "label", "scan", "center x y z (m)", "points", "seen"):
        table.add_column(column, justify="left" if column in ("label", "scan") else "right", overflow="fold")
    for hit in hits:
        one = hit.object
        table.add_row(
            f"{hit.similarity:.3f}",
            Text(one.label),
            Text(one.scan),
            " ".join(f"{value:.2f}" for value in one.box[:3]),
            f"{one.num_points:,}",
            str(1 + len(hit.others)),
        )
    if not hits:
        table.caption = "nothing was found"
    return table
