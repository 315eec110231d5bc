"""Which model, and where its words come from: shared by the commands that name things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.model import Clip2Model
    from clip2.teacher.text_source import TextSource


def load_model(model: str | None) -> Clip2Model:
    """The model a ``--model`` option names.

    Raises:
        InputError: none is named, or it cannot be loaded.
    """
    if model is None:
        raise InputError(
            "is missing: no trained model ships with clip2 yet",
            field="--model",
            fix="train one: clip2 prep ..., clip2 embed ..., clip2 train --config configs/train/pointnet2.yaml "
            "--data TRIPLETS --out RUN, then --model RUN",
        )
    import clip2

    return clip2.load(model)


def text_source(
    model: Clip2Model,
    bank: Path | None = None,
    bank_model: str | None = None,
    clip: str | None = None,
    clip_model: str | None = None,
) -> TextSource:
    """Word vectors from a bank file, a CLIP text tower, or the bank that travels with the model.

    Raises:
        InputError: both a bank and a CLIP are named, a bank model without a bank, or no words anywhere.
    """
    if bank is not None and clip is not None:
        raise InputError("exclude each other", field="--bank and --clip", fix="give one of them")
    if bank_model is not None and bank is None:
        raise InputError("says whose vectors --bank holds, but there is no --bank", field="--bank-model")
    if clip_model is not None and clip is None:
        raise InputError("says what --clip holds, but there is no --clip", field="--clip-model")
    if bank is not None:
        from clip2.teacher import TextBank

        return TextBank.load(bank, model=bank_model)
    if clip is not None:
        from clip2.teacher import Teacher

        return Teacher.load(clip, model=clip_model)
    if model.text_bank is None:
        raise InputError(
            "this model carries no words",
            field="--model",
            fix=f"add --bank FILE (and --bank-model {model.teacher.name} if the file does not say it), "
            f"or --clip {model.teacher.name}",
        )
    return model.text_bank
