"""Stages of ``clip2 demo``, run with the functions behind the other commands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn

import clip2
from clip2.checkpoint import CONFIG_FILE, read_config
from clip2.progress import ProgressBar
from clip2.teacher import Teacher
from clip2.teacher.embed import embed_triplets
from clip2.training import load_config, train
from clip2.world.demo.page import write_report
from clip2.world.demo.plan import SETTINGS, Plan, claim_folder
from clip2.world.demo.queries import ask, recognize
from clip2.world.demo.result import TEACHER, DemoResult
from clip2.world.demo.scenes import load_scene
from clip2.world.demo.scoring import SCORE_CARD, card, score
from clip2.world.demo.workers import make_settings
from data_prep.storage.files import write_atomically
from data_prep.triplets import Manifest

_SECONDS_FILE = "seconds.json"


def run_demo(out: Path, plan: Plan, words: Sequence[str], console: Console) -> DemoResult:
    """Mine, embed, train, score and recognize; called again on the same folder, finished stages are not repeated.

    Args:
        out: folder for triplets, run and report.
        plan: plan of the run.
        words: labels to ask for in the recognized scenes; empty: all labels of each setting.
        console: receives the progress bars.

    Raises:
        InputError: ``out`` holds something else, or a demo of another seed or plan.
        KeyboardInterrupt: stopped while training, with its state saved.
    """
    claim_folder(out, plan)
    result = DemoResult(out, plan, tuple(words), _read_seconds(out))
    with _stage(result, "load the teacher", console, again=True):
        teacher = Teacher.load(TEACHER)
    _mine(result, console)
    _embed(result, teacher, console)
    _train(result, teacher, console)
    model = clip2.load(out / "run")
    result.parameters = model.parameter_count()
    with _stage(result, "score", console, again=True), console.status("naming objects of unseen scenes"):
        result.naming = score(model, teacher, {setting: result.files(setting).unseen for setting in SETTINGS})
    with _stage(result, "recognize", console, again=True):
        for setting in SETTINGS:
            with console.status(f"recognizing an unseen {setting}"):
                scene = load_scene(result.files(setting).scene)
                one = recognize(model, teacher, setting, scene, words)
                one.named.to_json(out / f"{setting}.json")
                one.named.to_ply(out / f"{setting}.ply")
                result.recognized[setting] = one
        result.queries = ask(result.recognized, teacher)
    _write_json(out / SCORE_CARD, card(result.naming))
    with console.status("writing the report"):
        result.report = write_report(result, out / "report.html")
    return result


def _mine(result: DemoResult, console: Console) -> None:
    missing = [setting for setting in SETTINGS if not result.files(setting).complete]
    if missing:
        with _stage(result, "scans, boxes, lifting", console) as stage:
            stage.worked = True
            make_settings(result.out, missing, result.plan, console)
    for setting in SETTINGS:
        manifest = Manifest.load(result.files(setting).triplets)
        result.mined[setting] = {**manifest.totals, "rejections": dict(manifest.rejections)}


def _embed(result: DemoResult, teacher: Teacher, console: Console) -> None:
    folders = [folder for s in SETTINGS for folder in (result.files(s).triplets, result.files(s).unseen)]
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _stage(result, "embed", console) as stage, ProgressBar(*columns, console=console) as progress:
        for folder in folders:
            task = progress.add_task(folder.name, total=None)

            def show(done: int, total: int, task: TaskID = task) -> None:
                progress.update(task, completed=done, total=total)

            report = embed_triplets(folder, teacher=teacher, progress=show)
            stage.worked |= report.shards_computed > 0


def _train(result: DemoResult, teacher: Teacher, console: Console) -> None:
    plan = result.plan
    folders = [str(result.files(setting).triplets) for setting in SETTINGS]
    overrides = [
        f"seed={plan.seed}",
        f"loop.steps={plan.steps}",
        f"loop.batch_size={plan.batch_size}",
        f"model.preprocessing.num_points={plan.num_points}",
        f"data.folders={json.dumps(folders)}",
        f"data.clip={json.dumps(teacher.model)}",
    ]
    config = load_config(Path(__file__).parent / "train.yaml", overrides)
    run = result.out / "run"
    with _stage(result, "train", console) as stage:
        stage.worked = not _is_trained(run, plan.steps)
        trained = train(config, run, resume=True, console=console)
    if not trained.finished:
        raise KeyboardInterrupt


def _is_trained(run: Path, steps: int) -> bool:
    return (run / CONFIG_FILE).is_file() and read_config(run).training.get("step") == steps


@dataclass
class _Stage:
    worked: bool = False


@contextmanager
def _stage(result: DemoResult, name: str, console: Console, again: bool = False) -> Iterator[_Stage]:
    """Time a stage. Of one that goes on where it was interrupted the times add up; one done ``again`` is timed anew."""
    console.rule(f"[bold]{name}", align="left", style="dim")
    began, before, stage = time.perf_counter(), result.seconds.get(name, 0.0), _Stage(worked=again)
    try:
        yield stage
    finally:
        if stage.worked:
            took = time.perf_counter() - began
            result.seconds[name] = took if again else before + took
            _write_json(result.out / _SECONDS_FILE, result.seconds)


def _read_seconds(out: Path) -> dict[str, float]:
    path = out / _SECONDS_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=2) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
