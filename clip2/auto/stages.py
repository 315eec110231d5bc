"""Stages of ``clip2 auto``: the ordinary commands, one process each, remembered when they are done."""

from __future__ import annotations

import json
import subprocess  # nosec B404
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip2.auto.config import AutoConfig
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text

RECORD_FILE = "auto.json"


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: unique in a run.
        arguments: of ``clip2``, the command first.
        purpose: what it does, for people.
        results: files and folders that exist when it is done.
    """

    name: str
    arguments: tuple[str, ...]
    purpose: str
    results: tuple[Path, ...]


class Record:
    """Stages that are done, in ``auto.json`` of the output folder.

    Args:
        out: the output folder.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / RECORD_FILE
        self.stages: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            try:
                self.stages = parse_json(read_text(self.path))["stages"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"is damaged ({error})",
                    source=self.path,
                    fix="delete it: finished stages are then checked again",
                ) from None

    def is_done(self, stage: Stage) -> bool:
        """Whether the stage ended with this command, and its results are still there."""
        known = self.stages.get(stage.name)
        same = known is not None and known["arguments"] == list(stage.arguments)
        return same and all(path.exists() for path in stage.results)

    def add(self, stage: Stage, seconds: float) -> None:
        """Remember a stage as done; later stages must then be done again."""
        self.stages.pop(stage.name, None)
        self.stages[stage.name] = {"arguments": list(stage.arguments), "seconds": round(seconds, 1)}
        text = json.dumps({"format": "clip2-auto", "stages": self.stages}, indent=1) + "\n"
        write_atomically(self.path, lambda part: part.write_text(text, encoding="utf-8"))


def first_stages(
    source: str, root: str, options: Sequence[str], out: Path, config: AutoConfig
) -> list[Stage]:
    """Stages from the scan to the features of its triplets.

    Args:
        source, root, options: of the scan, as in the commands.
        out: the output folder; ``mining.yaml`` is in it.
        config: settings of the run.
    """
    scan = (source, root, *(part for option in options for part in ("--option", option)))
    triplets, page = out / "triplets", out / "check.html"
    stages = [
        Stage("check", ("check", *scan, "--out", str(page)), "is this scan what we think it is?", (page,))
    ]
    detections = config.detections
    if detections is None:
        detections = str(out / "detections.json")
        detect = ("detect", *scan, "--vocabulary", str(config.vocabulary), "--detector", config.detector)
        stages.append(
            Stage("detect", (*detect, "--out", detections), "find objects in the images", (Path(detections),))
        )
    prep = (
        "prep",
        *scan,
        "--detections",
        detections,
        "--config",
        str(out / "mining.yaml"),
        "--out",
        str(triplets),
    )
    gallery = triplets / "gallery.html"
    vectors: tuple[str, ...] = ("--clip", config.clip) if config.clip else ("--bank", str(config.bank))
    if config.bank_model:
        vectors = (*vectors, "--bank-model", config.bank_model)
    return [
        *stages,
        Stage("prep", prep, "cut the objects out of the points", (triplets / "manifest.json",)),
        Stage(
            "inspect",
            ("inspect", str(triplets), "--html", str(gallery)),
            "gallery of the objects",
            (gallery,),
        ),
        Stage(
            "embed",
            ("embed", str(triplets), *vectors),
            "CLIP vectors of labels and crops",
            (triplets / "features",),
        ),
    ]


def last_stages(
    source: str,
    root: str,
    options: Sequence[str],
    out: Path,
    config: AutoConfig,
    frames: Sequence[str],
    mined: Sequence[str],
) -> list[Stage]:
    """Stages from the features to the recognized frames; ``train.yaml`` is in ``out``.

    Args:
        source, root, options, out, config: as of :func:`first_stages`.
        frames: ids of the frames to recognize.
        mined: labels to recognize if the configuration names none.
    """
    run = out / "run"
    train = (
        "train",
        "--config",
        str(out / "train.yaml"),
        "--data",
        str(out / "triplets"),
        "--out",
        str(run),
        "--resume",
    )
    stages = [Stage("train", train, "train the point encoder", (run / "config.json",))]
    for frame in frames:
        result = out / f"objects-{_file_name(frame)}.json"
        arguments = [
            "recognize",
            root,
            "--source",
            source,
            "--frame",
            frame,
            "--model",
            str(run),
            "--out",
            str(result),
        ]
        for option in options:
            arguments += ["--option", option]
        if config.labels is not None:
            arguments += ["--labels", config.labels]
            if config.bank is not None:
                arguments += ["--bank", config.bank]
                arguments += ["--bank-model", config.bank_model] if config.bank_model else []
            else:
                arguments += ["--clip", str(config.clip)]
        elif mined:
            arguments += ["--labels", ",".join(mined)]
        stages.append(Stage(f"recognize {frame}", tuple(arguments), "find and name objects", (result,)))
    return stages


def run_stage(stage: Stage, quiet: bool) -> tuple[int, float]:
    """Exit code and seconds of a stage; what it prints goes to the terminal, or to standard error if ``quiet``."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "clip2", *stage.arguments]
    code = subprocess.run(
        command, stdout=sys.stderr if quiet else None, check=False
    ).returncode  # our own command, no shell  # nosec B603
    return code, time.perf_counter() - began


def _file_name(frame: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in frame)
