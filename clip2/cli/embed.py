"""``clip2 embed``: CLIP vectors of all triplets, computed once and stored beside the shards."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from data_prep.report.counted import counted

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.teacher import Teacher, TextBank
    from clip2.teacher.embed import EmbedReport


@dataclass
class Embed:
    """Embed the crops and texts of a triplet folder with a frozen CLIP, or the texts alone with a text bank.

    The vectors are stored in TRIPLETS/features; training reads them and never runs CLIP. After an interruption the
    same command continues; only new or changed shards are computed. A folder may hold sets of several models, prompts
    and banks.
    """

    triplets: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRIPLETS")]
    """Folder made by `clip2 prep`."""
    clip: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """CLIP model for crops and texts: NAME/TAG of open_clip (ViT-B-32/laion2b_s34b_b79k), hf-hub:org/repo,
    local-dir:FOLDER."""
    clip_model: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """NAME/TAG of the model in a local-dir:, so that its vectors match text banks of that name."""
    bank: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Text bank (npz) for the texts, instead of --clip; crops then get no vectors."""
    bank_model: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """CLIP model of the bank, if the file does not state it, like ViT-B-32/openai."""
    templates: Annotated[str | None, tyro.conf.arg(metavar="clip2|plain|ulip-64")] = None
    """Prompt set of --clip: clip2 ("a point cloud of a {}.", the default), plain ("a {}"), ulip-64 (the 64
    prompts of ULIP and OpenShape, averaged)."""
    points: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Point encoder whose embeddings of the clouds become targets for a smaller one (clip2 train with
    configs/train/distill.yaml): a public encoder, a run folder, mini-points. Alone, texts get the vectors of the bank
    that it carries; --clip or --bank adds crops and texts."""
    device: str = "auto"
    """Device of --clip and --points: cpu, cuda, cuda:1, auto."""
    batch_size: int = 64
    """Crops per forward pass."""
    drop_disagreeing: Annotated[float | None, tyro.conf.arg(metavar="TIMES")] = None
    """Drop texts that contradict the crop: less probable than this many times chance in --clip's softmax over all
    texts of the set. 1 is a good value. The objects keep their image vectors; without this option all texts return."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def run(self) -> int:
        """Embed what is missing and report."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from clip2.cli.terminal import Console
        from clip2.progress import ProgressBar
        from clip2.teacher.embed import embed_triplets
        from clip2.teacher.features import FEATURES
        from data_prep.storage.files import require_writable
        from data_prep.triplets import open_triplets

        self._check_options()
        open_triplets(self.triplets)  # before a model is downloaded
        require_writable(self.triplets / FEATURES)
        columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        teacher, bank = self._teacher(), self._bank()
        points = None
        if self.points is not None:
            from clip2.cli.model_options import load_point_teacher

            points = load_point_teacher(self.points, self.device, "--device")
        with ProgressBar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("embedding", total=None)
            report = embed_triplets(
                self.triplets,
                teacher,
                bank,
                templates=self.templates or "clip2",
                batch_size=self.batch_size,
                drop_disagreeing=self.drop_disagreeing,
                points=points,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if self.json:
            print(json_format.dumps(asdict(report), ensure_ascii=False))
        else:
            _print_report(Console(), report, teacher is not None, self.points)
        return 0

    def _check_options(self) -> None:
        from data_prep.errors import InputError

        if self.clip is not None and self.bank is not None:
            raise InputError("exclude each other", field="--clip and --bank", fix="give one of them")
        if self.clip is None and self.bank is None and self.points is None:
            raise InputError(
                "are all missing",
                field="--clip, --bank and --points",
                fix="give --clip NAME/TAG for crops and texts, --bank FILE for texts alone, or --points NAME for the "
                "embeddings of a point encoder",
            )
        if self.points is not None and self.templates is not None:
            raise InputError(
                "is stated by the encoder of --points", field="--templates", fix="leave the option out"
            )
        if self.bank_model is not None and self.bank is None:
            raise InputError("needs --bank", field="--bank-model", fix="add --bank FILE")
        if self.clip_model is not None and self.clip is None:
            raise InputError("needs --clip", field="--clip-model", fix="add --clip local-dir:FOLDER")
        if self.templates is not None and self.clip is None:
            raise InputError("is for --clip; the vectors of a bank are fixed", field="--templates")
        if self.drop_disagreeing is not None and self.clip is None:
            raise InputError("is for --clip; a bank embeds no crops", field="--drop-disagreeing")

    def _teacher(self) -> Teacher | None:
        if self.clip is None:
            return None
        from clip2.teacher import Teacher

        return Teacher.load(self.clip, self.device, model=self.clip_model)

    def _bank(self) -> TextBank | None:
        if self.bank is None:
            return None
        from clip2.teacher import TextBank

        return TextBank.load(self.bank, model=self.bank_model)


def _print_report(console: Console, report: EmbedReport, with_images: bool, points: str | None) -> None:
    from rich.table import Table

    console.print(f"{report.model}, vectors {report.width} wide", highlight=False, markup=False)
    table = Table("triplets", "count")
    table.columns[1].justify = "right"
    table.add_row("in the folder", f"{report.objects:,}", style="bold")
    table.add_row("with an image vector", f"{report.with_image:,}")
    if report.crops > report.with_image:
        table.add_row("crops averaged", f"{report.crops:,}")
    if report.disagreeing is not None:
        share = report.disagreeing / max(report.with_image, 1)
        table.add_row("texts dropped, crop disagrees", f"{report.disagreeing:,} ({share:.1%})")
    table.add_row("with a text vector", f"{report.objects - report.without_text:,}")
    table.add_row("different texts", f"{report.texts:,}")
    console.print(table)
    if points is not None:
        console.print(f"Every cloud has an embedding by {points}.", highlight=False, markup=False)
    elif not with_images:
        console.print("A text bank has no image vectors: training on this set uses texts alone.")
    if report.unknown_texts:
        console.print(
            _describe_unknown(report.unknown_texts, report.without_text), style="yellow", markup=False
        )
    console.print(
        f"{counted(report.shards_computed, 'shard')} computed, {report.shards_kept} kept, in {report.folder}",
        highlight=False,
        markup=False,
    )


def _describe_unknown(unknown: Mapping[str, int], without_text: int) -> str:
    most = ", ".join(f"{text} ({count:,})" for text, count in list(unknown.items())[:10])
    more = f" and {len(unknown) - 10:,} more" if len(unknown) > 10 else ""
    return (
        f"The bank has no vector for {most}{more}; {without_text:,} triplets have no text with a vector and are left out "
        "of the text term."
    )
