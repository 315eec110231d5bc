"""``clip2 eval``: models measured by the protocols of the field."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from data_prep.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from clip2.evaluation.protocol import Progress, Settings
    from clip2.evaluation.result import EvalResult
    from clip2.evaluation.subject import Subject
    from clip2.evaluation.tables import Change


@dataclass(kw_only=True)
class Eval:
    """Measure one or more models with a benchmark, and compare them in one table.

    docs/evaluation.md lists the benchmarks and the files each expects; docs/protocols.md says what their numbers mean.
    With --out, the same command continues a run that was interrupted.
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL [MODEL ...]")]
    """A run folder, local-dir:FOLDER, hf-hub:ORG/NAME, mini-points; for benchmarks on scans also a .json file of objects
    that any tool found."""
    benchmark: str
    """Name of the benchmark, like modelnet40, modelnet40/robustness or detection; all: those whose data ROOT holds."""
    root: Path
    """Folder of the data."""
    out: Path | None = None
    """Folder for results.json, results.md, index.html and the figures; keeps embeddings, so that a run can continue."""
    against: Path | None = None
    """results.json of an earlier run: what changed."""
    json: bool = False
    """Print the results as one JSON object."""
    points: int | None = None
    """Points drawn from each object. Default: what the benchmark prescribes."""
    seed: int = 0
    """Seed of everything that is drawn."""
    color: Literal["keep", "drop"] = "keep"
    """drop: leave out the colors that the data has."""
    axes: Literal["auto", "z-up", "y-up"] = "auto"
    """Axis that points up in the files. auto: what the layout is known to use."""
    limit: int | None = None
    """Only this many objects, drawn at random, or the first so many labeled frames, for a first look."""
    workers: int = 1
    """Processes that read and sample objects; benchmarks on scans use one."""
    trained_on: tuple[Path, ...] = ()
    """Triplet folders, or roots of sets with a training split, that the model has seen: repeated objects are counted."""
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Option of the benchmark as key=value; may be repeated."""
    bank: Path | None = None
    """Text bank (npz) with label vectors, instead of the models' own."""
    bank_model: str | None = None
    """CLIP model of the bank's vectors, if the file does not state it."""
    clip: str | None = None
    """CLIP model NAME/TAG whose text tower computes the label vectors, instead of a bank; or local-dir:FOLDER."""
    clip_model: str | None = None
    """NAME/TAG of the model in a local-dir: of --clip."""
    device: str = "auto"
    """Device of the models: cpu, cuda, cuda:1, auto."""

    def run(self) -> int:
        """Measure, compare, write, and report."""
        from clip2.cli.terminal import Console
        from clip2.evaluation.protocol import chosen_protocols
        from clip2.evaluation.result import read_results
        from clip2.evaluation.tables import changes
        from data_prep.storage.files import require_writable

        if not self.models:
            raise InputError("no models given", field="MODEL", fix="name at least one")
        chosen_protocols(self.benchmark, self.root, self._options())
        earlier = None if self.against is None else read_results(self.against)
        if self.out is not None:
            require_writable(self.out, "--out")
        console = Console(stderr=True)
        results: list[EvalResult] = []
        for name in self.models:
            subject, notice = self._subject(name)
            found = self._with_progress(console, partial(self._measure, subject))
            results += [
                replace(result, notes=(*result.notes, notice)) if notice else result for result in found
            ]
        changed = [] if earlier is None else changes(results, earlier)
        files = []
        if self.out is not None:
            from clip2.evaluation.folder import write_folder

            files = write_folder(self.out, results, changed)
        if self.json:
            print(json.dumps(self._document(results, changed)))
        else:
            self._print(results, changed)
        if files:
            console.print(f"wrote {files[-1]} and {len(files) - 1} more", highlight=False, soft_wrap=True)
        return 0

    def _measure(self, subject: Subject, settings: Settings) -> list[EvalResult]:
        from clip2.evaluation.protocol import run_protocols

        return run_protocols(subject, self.benchmark, self.root, settings)

    def _subject(self, name: str) -> tuple[Subject, str]:
        """The subject, and the limits of a model that was taught by a bundled teacher."""
        from clip2.cli.model_options import ModelChoice, teacher_notice
        from clip2.device import parse_device
        from clip2.evaluation.subject import Subject

        options = ModelChoice(
            model=name,
            bank=self.bank,
            bank_model=self.bank_model,
            clip=self.clip,
            clip_model=self.clip_model,
            device=self.device,
        )
        subject = Subject.open(name, device=str(parse_device(self.device, "--device")))
        if subject.loaded is None:
            return subject, ""
        text = options.text_source(subject.model)
        return Subject(name, subject.loaded, text), teacher_notice(subject.model)

    def _with_progress(
        self, console: Console, run: Callable[[Settings], list[EvalResult]]
    ) -> list[EvalResult]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from clip2.progress import ProgressBar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with ProgressBar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("reading", total=None)
            return run(
                self._settings(
                    lambda doing, done, total: bar.update(
                        task, description=doing, completed=done, total=total
                    )
                )
            )

    def _options(self) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in self.option]
        for pair, (key, equals, _) in zip(self.option, pairs, strict=True):
            if not key or not equals:
                raise InputError(f"{pair!r} is not key=value", field="--option")
        return {key: value for key, _, value in pairs}

    def _settings(self, progress: Progress) -> Settings:
        from clip2.evaluation.protocol import Settings

        return Settings(
            points=self.points,
            seed=self.seed,
            color=self.color == "keep",
            axes=self.axes,
            cache=None if self.out is None else self.out / "embeddings",
            workers=self.workers,
            trained_on=self.trained_on,
            limit=self.limit,
            options=self._options(),
            progress=progress,
        )

    def _document(self, results: list[EvalResult], changed: list[Change]) -> dict[str, object]:
        from clip2.evaluation.result import RESULTS_FORMAT
        from clip2.evaluation.tables import change_table

        document: dict[str, object] = {
            **RESULTS_FORMAT.header,
            "results": [result.to_json() for result in results],
        }
        if changed:
            table = change_table(changed)
            document["changes"] = [
                {**dict(zip(table.columns, row, strict=True)), "differences": list(change.differences)}
                for row, change in zip(table.rows, changed, strict=True)
            ]
        return document

    def _print(self, results: list[EvalResult], changed: list[Change]) -> None:
        from rich.table import Table

        from clip2.cli.terminal import Console
        from clip2.evaluation.tables import by_benchmark, change_table, metric_table

        console = Console()
        for name, group in by_benchmark(results).items():
            table = metric_table(group)
            drawn = Table(*table.columns, title=f"{name}: {group[0].summary}", title_justify="left")
            for row in table.rows:
                drawn.add_row(*row)
            console.print(drawn)
            for result in group:
                for key, text in result.conditions.rows():
                    console.print(f"  {key}: {text}", style="dim", highlight=False, markup=False)
                for note in result.notes:
                    console.print(f"  note: {note}", highlight=False, markup=False)
        if changed:
            table = change_table(changed)
            drawn = Table(*table.columns, title=f"against {self.against}", title_justify="left")
            for row in table.rows:
                drawn.add_row(*row)
            console.print(drawn)
            for difference in dict.fromkeys(each for change in changed for each in change.differences):
                console.print(f"  differs: {difference}", highlight=False, markup=False)
