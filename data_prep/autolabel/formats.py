"""Label formats by name, and what every one of them has in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from data_prep.autolabel.labels import LabeledFrame
from data_prep.registry import Registry
from data_prep.scans import Scan


class LabelFormat(ABC):
    """Writes labels by the rules of one format.

    Attributes:
        name: registry name.
        classes: our label → the format's class, for formats with a fixed list; empty: any label is kept.
    """

    name: ClassVar[str]
    classes: ClassVar[Mapping[str, str]] = {}

    def class_of(self, label: str) -> str | None:
        """The format's name of a label; None: the format does not know it."""
        return self.classes.get(label) if self.classes else label

    @abstractmethod
    def write(self, folder: Path, scan: Scan, frames: Sequence[LabeledFrame]) -> None:
        """Write all files into an empty folder.

        Args:
            folder: exists.
            scan: for calibration, points and poses; frames are read one by one where the format needs them.
            frames: in scan order; labels that :meth:`class_of` knows.
        """


FORMATS: Registry[type[LabelFormat]] = Registry(
    "format",
    {
        "kitti": "data_prep.autolabel.kitti",
        "nuscenes": "data_prep.autolabel.nuscenes",
        "coco3d": "data_prep.autolabel.coco3d",
        "openpcdet": "data_prep.autolabel.openpcdet",
    },
)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """A text file of lines; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """A JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
