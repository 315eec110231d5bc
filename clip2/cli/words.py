"""Which words, which model and where its words come from: shared by the commands that name things."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.model import Clip2Model
    from clip2.teacher.text_source import TextSource


@dataclass
class WordOptions:
    """The words, the model that compares them with shapes, and what turns them into vectors."""

    labels: str | None = None
    """The words to choose from, separated by commas: "chair,table". Default: all words of the model's bank."""
    model: str = "mini-points"
    """A run folder, local-dir:FOLDER, hf-hub:ORG/NAME, or mini-points, the small model that ships with clip2 and
    knows only its own made-up world."""
    bank: Path | None = None
    """Text bank (npz) to look words up in, instead of the model's own."""
    bank_model: str | None = None
    """The CLIP model the bank's vectors come from, if the file does not say it."""
    clip: str | None = None
    """CLIP model NAME/TAG whose text tower turns words into vectors, instead of a bank; or local-dir:FOLDER."""
    clip_model: str | None = None
    """What a local-dir: of --clip holds, as NAME/TAG."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:1, auto."""

    def load_model(self) -> Clip2Model:
        """The model of ``--model``, on ``--device``.

        Raises:
            InputError: it cannot be loaded, or there is no such device.
        """
        import clip2

        return clip2.load(self.model, device=self._device())

    def text_source(self, model: Clip2Model) -> TextSource:
        """Word vectors from a bank file, a CLIP text tower, or the words that travel with the model.

        They are in the prompts that the model was trained against.

        Raises:
            InputError: both a bank and a CLIP are named, a bank model without a bank, no words anywhere, or words of
                another CLIP model or other prompts than the model's.
        """
        if self.bank is not None and self.clip is not None:
            raise InputError("exclude each other", field="--bank and --clip", fix="give one of them")
        if self.bank_model is not None and self.bank is None:
            raise InputError("says whose vectors --bank holds, but there is no --bank", field="--bank-model")
        if self.clip_model is not None and self.clip is None:
            raise InputError("says what --clip holds, but there is no --clip", field="--clip-model")
        if self.bank is not None:
            from clip2.teacher import TextBank

            return model.teacher.require(TextBank.load(self.bank, model=self.bank_model))
        if self.clip is not None:
            from clip2.teacher import Teacher

            return model.teacher.require(Teacher.load(self.clip, self.device, model=self.clip_model))
        if model.text is None:
            raise InputError(
                "this model carries no words",
                field="--model",
                fix=f"add --bank FILE (and --bank-model {model.teacher.name} if the file does not say it), "
                f"or --clip {model.teacher.name}",
            )
        return model.text

    def _device(self) -> str:
        import torch

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        kind, _, number = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
            raise InputError(f"{self.device!r} is not known", field="--device", fix="use cpu, cuda or auto")
        if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
            raise InputError(f"{self.device} is not available", field="--device", fix="use cpu or auto")
        return self.device


def limits_of(model: Clip2Model) -> str:
    """What must be said of a model taught by ``mini`` whenever it names something; empty for others."""
    from clip2.teacher.bank_with_tower import is_taught_by_mini

    return _MADE_UP_WORLD if is_taught_by_mini(model.teacher.name) else ""


def say(note: str) -> None:
    """A note for people, on standard error."""
    if note:
        Console(stderr=True).print(note, style="yellow", highlight=False, markup=False)


_MADE_UP_WORLD = (
    "This model's teacher was mini, a small stand-in for CLIP that knows only its own made-up world. "
    "For real scenes train on real triplets: clip2 prep, then clip2 embed --clip ViT-B-32/laion2b_s34b_b79k, "
    "then clip2 train, and name the result with --model."
)
