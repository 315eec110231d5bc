"""``clip2 info``: facts about this installation or a checkpoint."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from data_prep.storage.room import megabytes

if TYPE_CHECKING:
    from clip2.teacher.bundled import BundledTeacher

_PACKAGES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "open3d",
    "lightning-fabric",
    "numpy",
    "scipy",
    "safetensors",
    "torch-scatter",
)
_SCORE_CARD = "score_card.json"
_LISTED = 30  # entries of a list that a table shows; --json has them all


@dataclass
class Info:
    """Show versions, devices, backends and shipped models of this machine; with RUN, facts about that checkpoint."""

    run_or_checkpoint: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """A folder made by clip2 train, local-dir:FOLDER, hf-hub:ORG/NAME, a public encoder or mini-points."""
    pretrained: bool = False
    """List the public point encoders, with license, size, CLIP model and published scores."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print the facts."""
        from rich.table import Table

        from clip2.cli.terminal import Console

        if self.pretrained:
            return _list_pretrained(self.json)
        facts = _machine() if self.run_or_checkpoint is None else _checkpoint(self.run_or_checkpoint)
        if self.json:
            sys.stdout.write(json.dumps(facts) + "\n")
            return 0
        console = Console()
        for title, section in facts.items():
            table = Table(title=title, title_justify="left", show_header=False, box=None, title_style="bold")
            table.add_column()
            table.add_column(overflow="fold")
            for name, value in section.items():
                table.add_row(name, _short(value))
            console.print(table)
            console.print()
        return 0


def _list_pretrained(as_json: bool) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from clip2.pretrained.catalog import CATALOG, RECOMMENDED
    from clip2.pretrained.fetch import cached_folder

    if as_json:
        entries = [{**asdict(one), "cached": cached_folder(one.name) is not None} for one in CATALOG.values()]
        sys.stdout.write(json.dumps({"recommended": RECOMMENDED, "models": entries}) + "\n")
        return 0
    columns = ("name", "file", "params", "CLIP, text tower", "color", "published", "license", "here")
    table = Table(*columns, box=None, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    for one in CATALOG.values():
        table.add_row(
            f"{one.name} *" if one.name == RECOMMENDED else one.name,
            "?" if one.size is None else megabytes(one.size),
            f"{one.parameters:g} M",
            f"{one.clip.partition('/')[0]}, {one.text_parameters:g} B",
            "yes" if one.color else "no",
            " ".join("–" if score is None else f"{score:.1f}" for score in one.scores),
            one.license.partition(" (")[0],
            "yes" if cached_folder(one.name) is not None else "",
        )
    Console(width=200).print(table)
    print(
        "\n* first choice without a GPU. clip2 fetch NAME gets one.\n"
        "Published: zero-shot top-1 in % on Objaverse-LVIS, ModelNet40, ScanObjectNN, as in the papers and the\n"
        "authors' READMEs; not measured here."
    )
    return 0


def _machine() -> dict[str, dict[str, Any]]:
    import torch

    import clip2
    from clip2 import ops
    from clip2.cuda_graphs import why_no_graphs
    from clip2.encoders import list_encoders
    from clip2.teacher.bundled import BUNDLED
    from clip2.training.fabric import physical_cores

    versions: dict[str, Any] = {"clip2": clip2.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "versions": versions,
        "devices": {
            "cpu cores": physical_cores(),
            "torch threads": torch.get_num_threads(),
            "cuda": gpus or "none",
            "cuda graphs": why_no_graphs() or "recorded for repeated batch sizes",
            "mps": torch.backends.mps.is_available(),
        },
        "backends": {
            f"{choice.op} on {choice.device}": f"{choice.backend} ({choice.reason})"
            for choice in ops.backends()
        },
        "encoders": {"names": list_encoders()},
        "shipped mini-points": _shipped_model(),
        **{f"shipped teacher {name}": _shipped_teacher(each) for name, each in BUNDLED.items()},
    }


def _shipped_model() -> dict[str, Any]:
    """State and scores of the default model."""
    from clip2.checkpoint import MINI_POINTS, read_config, require_whole, resolve
    from data_prep.errors import InputError

    try:
        folder = resolve(MINI_POINTS)
        config = read_config(folder)
        require_whole(folder, config)
    except InputError as error:
        return {"state": str(error)}
    return {**_files(folder), "taught by": config.model.teacher.name, **_score_card(folder)}


def _shipped_teacher(teacher: BundledTeacher) -> dict[str, Any]:
    """State and scores of a teacher that ships with the package."""
    from data_prep.errors import InputError

    try:
        folder = teacher.verified_folder()
    except InputError as error:
        return {"state": str(error)}
    return {**_files(folder), **_score_card(folder)}


def _files(folder: Path) -> dict[str, str]:
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return {"state": "checksums match", "folder": str(folder), "size": f"{size / 1e6:.1f} MB"}


def _score_card(folder: Path) -> dict[str, Any]:
    """Measured scores stored beside the weights, one row each."""
    path = folder / _SCORE_CARD
    if not path.is_file():
        return {}
    from data_prep.storage.parsing import parse_json

    card = parse_json(path.read_text(encoding="utf-8"))
    return {f"score: {name}": value for name, value in card.items() if not isinstance(value, dict | list)}


def _checkpoint(name: str) -> dict[str, dict[str, Any]]:
    import clip2
    from clip2.checkpoint import read_config, resolve
    from clip2.pretrained.loading import resolve as named

    folder = resolve(named(name))
    config = read_config(folder)
    model = clip2.load(folder)
    bank = model.text_bank
    return {
        "checkpoint": {
            "folder": str(folder),
            "written by": f"clip2 {config.clip2_version}",
            "sha256 of weights": config.weights.sha256,
            "parameters": model.parameter_count(),
            "colors seen in training": config.model.colors_seen,
            "logit scale": round(model.log_text_scale.exp().item(), 3),
        },
        "encoder": {"name": config.model.encoder.name, **config.model.encoder.options},
        "teacher": config.model.teacher.model_dump(),
        "preprocessing": config.model.preprocessing.model_dump(),
        "words": {
            "count": 0 if bank is None else len(bank),
            "names": [] if bank is None else list(bank.names),
        },
        "training": config.training,
    }


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
        return ", ".join(map(str, value[:_LISTED])) + more
    return f"{value:.4g}" if isinstance(value, float) else str(value)
