"""Receivers of a run's metrics by name: TensorBoard, CSV, Weights & Biases, MLflow."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_file

LoggerName = Literal["tensorboard", "curves", "csv", "wandb", "mlflow"]
METRICS_FILE, CSV_FILE, TENSORBOARD_FOLDER = "metrics.jsonl", "metrics.csv", "tensorboard"


class MetricsLogger(Protocol):
    """A place that keeps the metrics of a run."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Store metrics measured after ``step`` steps."""
        ...

    def close(self) -> None:
        """Write what is left; the run ended or was stopped."""
        ...


def open_logger(name: str, run: Path, first: int, config: Mapping[str, Any]) -> MetricsLogger:
    """Open a logger by its name.

    Args:
        name: of :data:`LoggerName`, without ``curves``, which are drawn at the end. ``tensorboard``: files in the run's folder; ``csv``: a table there; ``wandb`` and ``mlflow``: as their
            environment variables say (``WANDB_MODE``, ``MLFLOW_TRACKING_URI``), in the run's folder if nothing else.
        run: the run's folder. A continued run continues its record there.
        first: steps already done.
        config: configuration of the run.

    Raises:
        InputError: its package is not installed.
    """
    return _LOGGERS[name](run, first, config)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``, up to a line that a killed run left half-written, or that is none."""
    path = run / METRICS_FILE
    records: list[dict[str, Any]] = []
    for line in read_file(path).splitlines(keepends=True) if path.is_file() else ():
        try:
            record = parse_json(line)
        except ValueError:
            break
        if not (line.endswith(b"\n") and isinstance(record, dict) and type(record.get("step")) is int):
            break
        records.append(record)
    return records


class _TensorBoard:
    def __init__(self, run: Path, first: int, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Metrics of the last saved step stay.
        self._writer = SummaryWriter(str(run / TENSORBOARD_FOLDER), purge_step=first + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    """The table is made of ``metrics.jsonl``, so that a continued run has no row twice."""

    def __init__(self, run: Path, first: int, config: Mapping[str, Any]) -> None:
        self._run = run

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        records = read_metrics(self._run)
        stream = io.StringIO()
        table = csv.DictWriter(stream, list(dict.fromkeys(name for record in records for name in record)))
        table.writeheader()
        table.writerows(records)
        write_atomically(
            self._run / CSV_FILE, lambda path: path.write_text(stream.getvalue(), encoding="utf-8")
        )


class _WeightsAndBiases:
    def __init__(self, run: Path, first: int, config: Mapping[str, Any]) -> None:
        wandb = _package("wandb")
        name = run.resolve()
        # The same folder is the same run, also after a restart.
        identity = hashlib.sha256(str(name).encode()).hexdigest()[:16]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "clip2"),
            dir=str(run),
            id=identity,
            name=name.name,
            resume="allow",
            config=dict(config),
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        self._run.finish()


class _MlFlow:
    def __init__(self, run: Path, first: int, config: Mapping[str, Any]) -> None:
        self._mlflow = _package("mlflow")
        if "MLFLOW_TRACKING_URI" not in os.environ:
            self._mlflow.set_tracking_uri(f"sqlite:///{(run / 'mlflow.db').resolve()}")
        self._mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "clip2"))
        known = run / "mlflow_run.txt"
        identity = known.read_text(encoding="utf-8").strip() if first and known.is_file() else None
        active = self._mlflow.start_run(run_id=identity, run_name=None if identity else run.resolve().name)
        known.write_text(active.info.run_id + "\n", encoding="utf-8")
        if identity is None:
            self._mlflow.log_params({name: str(value) for name, value in config.items()})

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(metrics), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_LOGGERS: dict[str, type[Any]] = {
    "tensorboard": _TensorBoard,
    "csv": _Csv,
    "wandb": _WeightsAndBiases,
    "mlflow": _MlFlow,
}


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise InputError(
            f"needs {name}, which is not installed", field="loop.loggers", fix=f"pip install {name}"
        ) from None
