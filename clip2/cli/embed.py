"""``clip2 embed``: what CLIP says about every triplet, computed once and kept beside the shards."""

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
    """Embed the crops and words of a triplet folder with a frozen CLIP, or the words alone with a text bank.

    The vectors lie in TRIPLETS/features; training reads them and never runs CLIP. Killed or interrupted, the same
    command continues where it stopped; only new or changed shards are computed. Sets made with other models, prompts
    or banks live beside one another.
    """

    triplets: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRIPLETS")]
    """Folder made by `clip2 prep`."""
    clip: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """CLIP model for crops and words: NAME/TAG of open_clip (ViT-B-32/laion2b_s34b_b79k), hf-hub:org/repo,
    local-dir:FOLDER."""
    clip_model: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """What a local-dir: holds, as NAME/TAG, so that its vectors go together with text banks of that name."""
    bank: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Text bank (npz) for the words, instead of --clip; crops get no vectors then."""
    bank_model: Annotated[str | None, tyro.conf.arg(metavar="NAME/TAG")] = None
    """The CLIP model the bank was made with, where the file does not say it: ViT-B-32/openai."""
    templates: Annotated[str | None, tyro.conf.arg(metavar="clip2|plain|ulip-64")] = None
    """Sentences that words are put into before --clip reads them: clip2 ("a point cloud of a {}.", taken when nothing
    is said), plain ("a {}"), ulip-64 (the 64 of ULIP and OpenShape, averaged)."""
    device: str = "auto"
    """Where --clip runs: cpu, cuda, cuda:1, auto."""
    batch_size: int = 64
    """Crops per forward pass."""
    drop_disagreeing: Annotated[float | None, tyro.conf.arg(metavar="TIMES")] = None
    """Drop words that the crop speaks against: less likely than this many times chance among all words of the set, by
    --clip's own softmax. 1 is a good value. The objects keep their picture; asked again without it, words are back."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def run(self) -> int:
        """Embed what is missing and report."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from clip2.progress import ProgressBar
        from clip2.teacher.embed import embed_triplets
        from clip2.teacher.features import FEATURES
        from data_prep.storage.files import require_writable
        from data_prep.triplets import open_triplets

        self._check_options()
        open_triplets(self.triplets)  # a wrong folder is said before a model is fetched
        require_writable(self.triplets / FEATURES)
        columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        teacher, bank = self._teacher(), self._bank()
        with ProgressBar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("embedding", total=None)
            report = embed_triplets(
                self.triplets,
                teacher,
                bank,
                templates=self.templates or "clip2",
                batch_size=self.batch_size,
                drop_disagreeing=self.drop_disagreeing,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if self.json:
            print(json_format.dumps(asdict(report), ensure_ascii=False))
        else:
            _print_report(Console(), report, with_images=teacher is not None)
        return 0

    def _check_options(self) -> None:
        from data_prep.errors import InputError

        if (self.clip is None) == (self.bank is None):
            raise InputError(
                "exclude each other" if self.clip else "are both missing",
                field="--clip and --bank",
                fix="--clip NAME/TAG for crops and words, or --bank FILE for words alone",
            )
        if self.bank_model is not None and self.bank is None:
            raise InputError("says whose vectors --bank holds, but there is no --bank", field="--bank-model")
        if self.clip_model is not None and self.clip is None:
            raise InputError("says what --clip holds, but there is no --clip", field="--clip-model")

        if self.templates is not None and self.clip is None:
            raise InputError("is for --clip; the vectors of a bank are made already", field="--templates")
        if self.drop_disagreeing is not None and self.clip is None:
            raise InputError("is for --clip; a bank sees no crops", field="--drop-disagreeing")

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


def _print_report(console: Console, report: EmbedReport, with_images: bool) -> None:
    from rich.table import Table

    console.print(f"{report.model}, {report.width} numbers per vector", highlight=False, markup=False)
    table = Table("triplets", "count")
    table.columns[1].justify = "right"
    table.add_row("in the folder", f"{report.objects:,}", style="bold")
    table.add_row("with an image vector", f"{report.with_image:,}")
    if report.crops > report.with_image:
        table.add_row("crops these are the means of", f"{report.crops:,}")
    if report.disagreeing is not None:
        share = report.disagreeing / max(report.with_image, 1)
        table.add_row("words dropped, the crop disagrees", f"{report.disagreeing:,} ({share:.1%})")
    table.add_row("with a word vector", f"{report.objects - report.without_text:,}")
    table.add_row("different words", f"{report.texts:,}")
    console.print(table)
    if not with_images:
        console.print("A text bank has no image vectors: training on this set uses words alone.")
    if report.unknown_texts:
        console.print(_say_unknown(report.unknown_texts, report.without_text), style="yellow", markup=False)
    console.print(
        f"{counted(report.shards_computed, 'shard')} computed, {report.shards_kept} kept, in {report.folder}",
        highlight=False,
        markup=False,
    )


def _say_unknown(unknown: Mapping[str, int], without_text: int) -> str:
    most = ", ".join(f"{word} ({count:,})" for word, count in list(unknown.items())[:10])
    more = f" and {len(unknown) - 10:,} more" if len(unknown) > 10 else ""
    return (
        f"The bank has no vector for {most}{more}; {without_text:,} triplets have no known word and teach nothing "
        "through words."
    )
