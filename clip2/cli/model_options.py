"""Options of commands that use a model: labels, model, source of label vectors, device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.teacher.point_teacher import PointTeacher
    from clip2.teacher.text_source import TextSource


def load_point_teacher(name: str, device: str, field: str) -> PointTeacher:
    """The point encoder ``name`` as a teacher of others.

    Raises:
        InputError: it cannot be loaded, or the device does not exist.
    """
    import clip2
    from clip2.device import parse_device
    from clip2.teacher.point_teacher import PointTeacher
    from clip2.teacher.teacher import weights_fingerprint

    model = clip2.load(name, device=parse_device(device, field))
    return PointTeacher(
        name=name,
        fingerprint=weights_fingerprint(model),
        model=model.teacher.name,
        width=model.teacher.width,
        require=model.teacher.require,
        encode=lambda clouds, colors: model.describe(clouds, colors).embeddings,
        bank=model.text_bank,
        templates=model.teacher.templates,
    )


@dataclass(kw_only=True)
class ModelChoice:
    """The model, and the source of the label vectors."""

    model: str = "mini-points"
    """A run folder, a folder of clip2 export (runs in onnxruntime), local-dir:FOLDER, hf-hub:ORG/NAME, a public encoder
    (clip2 info --pretrained lists them), auto for the recommended one of these if it was fetched, or mini-points, the
    small model that ships with clip2 and was trained on one synthetic world."""
    bank: Path | None = None
    """Text bank (npz) with label vectors, instead of the model's own."""
    bank_model: str | None = None
    """CLIP model of the bank's vectors, if the file does not state it."""
    clip: str | None = None
    """CLIP model NAME/TAG whose text tower computes the label vectors, instead of a bank; or local-dir:FOLDER. Default:
    the model's own, if it has no bank."""
    clip_model: str | None = None
    """NAME/TAG of the model in a local-dir: of --clip."""
    text_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the text tower; bf16 takes half the memory, cosines differ by 1e-3."""
    device: str = "auto"
    """Device of the model: cpu, cuda, cuda:1, auto."""

    def load_model(self) -> ObjectModel:
        """The model of ``--model``, on ``--device``.

        Raises:
            InputError: it cannot be loaded, or the device does not exist.
        """
        from clip2.runtime.description import is_export

        if is_export(self.model):
            from clip2.runtime import OnnxModel

            if self.device not in ("auto", "cpu"):
                raise InputError(
                    f"is {self.device}, and a folder of clip2 export runs on the CPU",
                    field="--device",
                    fix="leave out --device, or give the run that was exported as --model",
                )
            return OnnxModel(self.model)
        import clip2
        from clip2.device import parse_device

        return clip2.load(self.model, device=parse_device(self.device, "--device"))

    def text_source(self, model: ObjectModel) -> TextSource:
        """Label vectors of a bank file, a CLIP text tower, or the model, in the model's prompt set.

        Raises:
            InputError: options that exclude each other, no label vectors at all, or vectors of another CLIP model or
                prompt set than the model's.
        """
        if self.bank is not None and self.clip is not None:
            raise InputError("exclude each other", field="--bank and --clip", fix="give one of them")
        if self.bank_model is not None and self.bank is None:
            raise InputError("needs --bank", field="--bank-model", fix="add --bank FILE")
        if self.clip_model is not None and self.clip is None:
            raise InputError("needs --clip", field="--clip-model", fix="add --clip local-dir:FOLDER")
        from clip2.teacher.cached_text import CachedText

        if self.bank is not None:
            from clip2.teacher import TextBank

            return model.teacher.require(TextBank.load(self.bank, model=self.bank_model))
        if self.clip is not None:
            return model.teacher.require(self._tower(model))
        if model.text is None:
            raise InputError(
                "the model has no label vectors",
                field="--model",
                fix=f"add --bank FILE (and --bank-model {model.teacher.name} if the file does not state it), "
                f"or --clip {model.teacher.name}",
            )
        if isinstance(model.text, CachedText):
            return replace(model.text, device=self.device, precision=self.text_precision)
        return model.text

    def _tower(self, model: ObjectModel) -> TextSource:
        from clip2.teacher import Teacher
        from clip2.teacher.bundled import BUNDLED
        from clip2.teacher.cached_text import CachedText
        from clip2.teacher.text_source import canonical_model

        assert self.clip is not None
        local = self.clip.startswith("local-dir:")
        if self.clip in BUNDLED or self.clip.startswith("hf-hub:") or (local and self.clip_model is None):
            # The name of such a space depends on all weights, so the whole model is loaded.
            return Teacher.load(self.clip, self.device, model=self.clip_model)
        if self.clip_model is not None and not local:
            raise InputError(f"is for local-dir: only, not for {self.clip!r}", field="--clip-model")
        space = canonical_model(self.clip_model or self.clip)
        return CachedText(
            space,
            model.teacher.width,
            model.teacher.templates or "clip2",
            name=self.clip,
            device=self.device,
            precision=self.text_precision,
        )


@dataclass(kw_only=True)
class ModelOptions(ModelChoice):
    """Labels, the model, and the source of the label vectors."""

    labels: str | None = None
    """Labels to choose from, separated by commas: "chair,table". Default: all labels of the model's bank."""


def teacher_notice(model: ObjectModel) -> str:
    """Limits of a model that was taught by a bundled teacher, to state with every result; empty for other models."""
    from clip2.teacher.bundled import bundled_teacher

    teacher = bundled_teacher(model.teacher.name)
    return "" if teacher is None else teacher.notice


def print_notice(notice: str) -> None:
    """Print a notice for people on standard error; nothing if it is empty."""
    from rich.console import Console

    if notice:
        Console(stderr=True).print(notice, style="yellow", highlight=False, markup=False)
