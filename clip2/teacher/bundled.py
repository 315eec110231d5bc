"""Registry of CLIP models that ship with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError
from data_prep.storage.files import file_sha256

_WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class BundledTeacher:
    """A CLIP model in the installed package.

    Attributes:
        name: name for :meth:`Teacher.load`; models of its space are called ``NAME@FINGERPRINT``.
        folder: ``open_clip_config.json`` with the weights' checksum, and the weights.
        notice: limits that every command states when it uses a model taught by this teacher.
        templates: prompt set for labels if a model states none, a key of ``PROMPTS``.
        has_text_tower: whether labels can be embedded with it.
    """

    name: str
    folder: Path
    notice: str
    templates: str = "clip2"
    has_text_tower: bool = True

    def verified_folder(self) -> Path:
        """:attr:`folder`, after comparing the weights with their checksum.

        Raises:
            InputError: a file is missing or altered.
        """
        config = self.folder / "open_clip_config.json"
        if not config.is_file():
            raise InputError("is missing", source=config, fix="reinstall clip2")
        record = json.loads(config.read_text(encoding="utf-8"))["weights"]
        weights = self.folder / record["file"]
        if not weights.is_file():
            raise InputError("is missing", source=weights, fix="reinstall clip2")
        if file_sha256(weights) != record["sha256"]:
            raise InputError(
                "does not match its checksum",
                source=weights,
                field="sha256",
                fix="reinstall clip2: the file was altered",
            )
        return self.folder


BUNDLED: dict[str, BundledTeacher] = {
    "mini": BundledTeacher(
        "mini",
        _WEIGHTS / "mini",
        notice="This model's teacher was mini, a small stand-in for CLIP that knows one synthetic world only. For real "
        "scenes take a public model (clip2 info --pretrained), or train on your own scan (clip2 auto) and pass the run "
        "with --model.",
    )
}


def bundled_teacher(model: str) -> BundledTeacher | None:
    """The bundled teacher of an embedding space (``mini@d3ac9c301591``), or None.

    >>> bundled_teacher("mini@d3ac9c301591").name
    'mini'
    >>> bundled_teacher("ViT-B-32/openai")
    """
    name, _, fingerprint = model.partition("@")
    return BUNDLED.get(name) if fingerprint else None
