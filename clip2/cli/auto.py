"""``clip2 auto``: own scan to named objects in one command."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clip2.cli.config_flags import ConfigOptions
from clip2.cli.frame_choice import require_images
from clip2.cli.scan_options import ScanCommand

if TYPE_CHECKING:
    from rich.console import Console

    from clip2.auto.config import AutoConfig
    from clip2.auto.plan import AutoPlan
    from clip2.auto.stages import Record, Stage


@dataclass(kw_only=True)
class Auto(ScanCommand):
    """Check a scan, detect and cut out its objects, train a model on them, and recognize frames; ends with a report.

    Each stage is an ordinary clip2 command, which is printed. Finished stages are skipped: after an interruption or a
    kill the same command continues. A finding of the check that is an error stops it.
    """

    out: Path
    """Folder for everything: detections, triplets, model, recognized frames, report.html."""
    detections: str | None = None
    """COCO JSON of 2D boxes or masks for the images, instead of running a detector."""
    vocabulary: str | None = None
    """Labels to detect: coco, lvis, a text file with one label per line, or labels like "mug,bottle"."""
    clip: str | None = None
    """CLIP model for crops and labels: NAME/TAG of open_clip, hf-hub:org/repo, local-dir:FOLDER."""
    bank: str | None = None
    """Text bank (npz) for the labels, instead of --clip."""
    bank_model: str | None = None
    """CLIP model of the bank, if the file does not state it."""
    labels: str | None = None
    """Labels to recognize at the end, separated by commas. Default: those that were mined five times or more."""
    minutes: float | None = None
    """Length of the training. Default: 10."""
    settings: ConfigOptions = field(default_factory=ConfigOptions)
    dry_run: bool = False
    """Measure a few frames, print the plan, and write nothing."""

    def run(self) -> int:
        """Plan, run the stages that are not done, report."""
        from clip2.auto.plan import make_plan, spread_over
        from clip2.auto.report import mined_labels, write_report
        from clip2.auto.stages import Record, first_stages, last_stages
        from clip2.cli.main import EXIT_OK
        from clip2.cli.terminal import Console
        from data_prep.storage.files import require_writable

        console = Console(stderr=True, highlight=False)
        config = self.configuration()
        scan = self.open_scan()
        require_images(
            scan,
            ", and objects are named by their images",
            f"; name the objects of a bare cloud: clip2 recognize {self.root}",
        )
        require_writable(self.out, "--out")
        record = Record(self.out)
        if self.dry_run or not record.stages:
            with console.status("measuring a few frames"):
                plan = make_plan(scan, config, len(scan.image_names()))
            _show_plan(console, plan)
            if self.dry_run:
                if self.json:
                    print(json_format.dumps({"seconds": plan.seconds, **asdict(plan)}))
                return EXIT_OK
        self._write_settings(config)
        root, options = self.root, self.option
        stages = first_stages(self.source, root, options, self.out, config)
        code = self._run(stages, record, console)
        if code == EXIT_OK:
            self._write_training(config)
            ids = scan.frame_ids()
            frames = [ids[i] for i in spread_over(len(ids), config.recognized_frames)]
            mined = mined_labels(self.out, config.label_objects)
            last = last_stages(self.source, root, options, self.out, config, frames, mined)
            code = self._run(last, record, console)
            stages += last
        if code != EXIT_OK:
            return code
        page = write_report(self.out, f"Objects of {Path(root).name}", stages, record)
        if self.json:
            training = json_format.loads((self.out / "run" / "config.json").read_text("utf-8"))["training"]
            seconds = {stage.name: record.stages[stage.name]["seconds"] for stage in stages}
            print(json_format.dumps({"report": str(page), "seconds": seconds, "training": training}))
        else:
            console.print(f"report: {page}", markup=False, soft_wrap=True)
        return EXIT_OK

    def configuration(self) -> AutoConfig:
        """Settings from --config, changed by --set, changed by flags.

        Raises:
            InputError: a wrong key or value, or no labels to detect, or no vectors for them.
        """
        from clip2.auto.config import AutoConfig
        from data_prep.config import load_config

        names = ("detections", "vocabulary", "clip", "bank", "bank_model", "labels", "minutes")
        flags = [
            f"{name}={json_format.dumps(getattr(self, name))}"
            for name in names
            if getattr(self, name) is not None
        ]
        return load_config(AutoConfig, self.settings.config, [*self.settings.set, *flags])

    def _run(self, stages: list[Stage], record: Record, console: Console) -> int:
        from clip2.auto.stages import run_stage

        for stage in stages:
            if record.is_done(stage):
                console.print(f"done: {stage.name}", style="dim", markup=False)
                continue
            console.print(f"\n{stage.name}: {stage.purpose}", style="bold", markup=False)
            console.print(f"clip2 {' '.join(stage.arguments)}", style="dim", markup=False, soft_wrap=True)
            code, seconds = run_stage(stage, quiet=self.json)
            if code != 0:
                console.print(
                    f"clip2 auto: stopped at {stage.name}; the same command continues from there",
                    markup=False,
                )
                return code if code > 0 else 128 - code
            record.add(stage, seconds)
        return 0

    def _write_settings(self, config: AutoConfig) -> None:
        import yaml

        from data_prep.storage.files import write_atomically

        self.out.mkdir(parents=True, exist_ok=True)
        whole = config.model_dump(mode="json")
        for name, values in (("auto.yaml", whole), ("mining.yaml", whole["mining"])):
            text = yaml.safe_dump(values, sort_keys=False)
            write_atomically(self.out / name, lambda part, text=text: part.write_text(text, encoding="utf-8"))  # type: ignore[misc]

    def _write_training(self, config: AutoConfig) -> None:
        """Configuration of the training; its steps are measured once, so that a continued run keeps them."""
        from clip2.training import plan_training
        from data_prep.storage.files import write_atomically

        path = self.out / "train.yaml"
        if path.is_file() and (self.out / "run").is_dir():
            return
        train = config.train
        data = train.data.model_copy(update={"folders": (str((self.out / "triplets").resolve()),)})
        if train.loop.steps is None:
            plan = plan_training(train.model_copy(update={"data": data}))
            steps = max(1, round(config.minutes * 60 * plan.objects_per_second / train.loop.batch_size))
            train = train.model_copy(update={"loop": train.loop.model_copy(update={"steps": steps})})
        write_atomically(path, lambda part: part.write_text(train.to_yaml(), encoding="utf-8"))


def _show_plan(console: Console, plan: AutoPlan) -> None:
    from rich.table import Table

    table = Table("stage", "work", "minutes", "MB of disk", title="plan")
    for row in plan.rows:
        minutes = "not measured" if row.seconds is None else f"{row.seconds / 60:.1f}"
        table.add_row(row.stage, row.work, minutes, "" if row.disk is None else f"{row.disk / 1e6:.0f}")
    console.print(table)
    console.print(
        f"about {plan.seconds / 60:.0f} minutes for what was measured, {plan.memory / 1e9:.1f} GB of memory so far"
    )
