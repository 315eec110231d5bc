"""``clip2 train``: training of a point encoder on triplets with cached features."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from clip2.cli.terminal import Console

if TYPE_CHECKING:
    from clip2.training.config import TrainConfig


@dataclass
class Train:
    """Train a point encoder on triplets whose CLIP features are cached (clip2 embed).

    After a kill at any moment, --resume continues and ends with the same weights as an uninterrupted run.
    """

    out: Path
    """Folder of the run: model, configuration, metrics and state. clip2.load reads it."""
    data: tuple[Path, ...] = ()
    """Triplet folders, one or more. May be left out with --resume."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """YAML file, like configs/train/pointnet2.yaml. Without it: the defaults, or with --resume the run's own."""
    teacher_points: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Point encoder to learn from (with configs/train/distill.yaml); its embeddings of --data are computed first, as
    clip2 embed --points NAME does (not with --dry-run, which writes nothing)."""
    overrides: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="KEY=VALUE")
    ] = ()
    """A change to the configuration, like --set optimizer.lr=3e-4; may be repeated."""
    resume: bool = False
    """Continue the run in --out, or start it if there is none."""
    dry_run: bool = False
    """Measure a few steps, print how long the run will take and what it needs, and write nothing."""
    json: bool = False
    """Print the metrics of the run as one JSON object on standard output."""

    def run(self) -> int:
        """Train until done or interrupted."""
        from clip2.cli.main import EXIT_INTERRUPTED, EXIT_OK
        from clip2.training import load_config
        from clip2.training.run_folder import CONFIG_FILE

        path = self.config
        if path is None and self.resume and (self.out / CONFIG_FILE).is_file():
            path = self.out / CONFIG_FILE
        config = load_config(path, self.overrides)
        if self.data:
            folders = tuple(str(folder.resolve()) for folder in self.data)
            config = config.model_copy(update={"data": config.data.model_copy(update={"folders": folders})})
        from clip2.training import plan_training, train

        console = Console(stderr=True)
        if self.teacher_points is not None and not self.dry_run:
            config = self._embedded(config, self.teacher_points)
        if self.dry_run:
            plan = plan_training(config)
            print(json.dumps(asdict(plan)) if self.json else plan)
            return EXIT_OK
        result = train(config, self.out, self.resume, console=console)
        if self.json:
            figures = {"run": str(result.run), "finished": result.finished, **result.metrics}
            sys.stdout.write(json.dumps(figures) + "\n")
        if not result.finished:
            console.print(
                f"clip2: stopped after step {result.step} of {result.total}, everything is saved; "
                f"continue with: clip2 train --out {result.run} --resume",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            return EXIT_INTERRUPTED
        return EXIT_OK

    @staticmethod
    def _embedded(config: TrainConfig, name: str) -> TrainConfig:
        """The configuration with the features of that point encoder, which are computed where they are missing."""
        from clip2.cli.model_options import load_point_teacher
        from clip2.teacher import embed_triplets
        from data_prep.errors import InputError

        slugs = set()
        teacher = load_point_teacher(name, "auto", "--teacher-points")
        for folder in config.data.folders:
            slugs.add(Path(embed_triplets(folder, points=teacher).folder).name)
        if not slugs:
            raise InputError("no triplets given", field="--data", fix="name a folder made by clip2 prep")
        return config.model_copy(update={"data": config.data.model_copy(update={"clip": slugs.pop()})})
