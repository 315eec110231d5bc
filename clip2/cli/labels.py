"""``clip2 labels``: banks of label vectors for machines without a text tower."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data_prep.errors import InputError


@dataclass
class Labels:
    """Compute the vectors of labels with a CLIP text tower and write them as a bank (npz).

    A robot then names objects with --bank FILE, without CLIP.
    """

    action: Annotated[Literal["build"], tyro.conf.Positional, tyro.conf.arg(metavar="build")]
    """What to do with the bank."""
    vocabulary: str
    """Labels: lvis, coco, a text file with one label per line, or several of these separated by commas."""
    out: Path
    """The bank to write."""
    clip: str = "ViT-B-32/openai"
    """CLIP model NAME/TAG; a public point encoder, which means its CLIP model; or local-dir:FOLDER."""
    clip_model: str | None = None
    """NAME/TAG of the model in a local-dir: of --clip."""
    prompts: str = "ulip-64"
    """Prompt set of the vectors: ulip-64 for public encoders, clip-80, clip2 or plain."""
    text_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the text tower; bf16 takes half the memory."""
    device: str = "auto"
    """Device of the text tower."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Compute and write."""
        from clip2.device import parse_device
        from clip2.pretrained.catalog import CATALOG
        from clip2.teacher.cached_text import CachedText
        from clip2.teacher.prompts import require_templates
        from clip2.teacher.text_bank import TextBank
        from clip2.teacher.text_source import canonical_model
        from clip2.teacher.text_tower import space_width
        from data_prep.storage.files import require_writable

        require_templates(self.prompts, "--prompts")
        device = str(parse_device(self.device, "--device"))
        names = _read(self.vocabulary)
        if self.out.is_dir():
            raise InputError("is a folder", source=self.out, field="--out", fix="give the name of a file")
        require_writable(self.out.parent, "--out")
        clip = CATALOG[self.clip].clip if self.clip in CATALOG else self.clip
        if clip.startswith("local-dir:") != (self.clip_model is not None):
            raise InputError(
                "goes with --clip local-dir:FOLDER, and with nothing else",
                field="--clip-model",
                fix="name the NAME/TAG of the weights in the folder, or leave it out",
            )
        space = canonical_model(self.clip_model or clip)
        source = CachedText(
            space, space_width(clip), self.prompts, name=clip, device=device, precision=self.text_precision
        )
        bank = TextBank(names, source.embed_labels(names), source.model, self.prompts)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        bank.save(self.out)
        if self.json:
            facts = {"out": str(self.out), "labels": len(bank), "model": bank.model, "prompts": self.prompts}
            print(json.dumps(facts))
        else:
            print(f"wrote {self.out}: {len(bank):,} labels of {bank.model}, prompts {self.prompts}")
        return 0


def _read(text: str) -> tuple[str, ...]:
    """Labels of several lists and files together, each once; or labels given directly."""
    from data_prep.detect.vocabulary import Vocabulary, list_vocabularies
    from data_prep.labels import normalize_label

    parts = [part.strip() for part in text.split(",")]
    if not all(part in list_vocabularies() or part.endswith(".txt") for part in parts):
        parts = [text]
    labels: dict[str, str] = {}
    for part in parts:
        for label in Vocabulary.load(part).labels:
            labels.setdefault(normalize_label(label), label)
    return tuple(labels.values())
