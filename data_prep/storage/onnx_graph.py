"""ONNX graphs of others in onnxruntime: whatever is wrong with one is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.storage.extras import require_extra


def open_graph(path: Path, needed_for: str, threads: int | None = None) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        path: the ONNX file.
        needed_for: who asks, for the error where onnxruntime is missing.
        threads: None: as many as there are cores.

    Raises:
        InputError: onnxruntime is not installed, or the file is no graph that it runs.
    """
    runtime = require_extra("onnxruntime", "onnx", needed_for=needed_for)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # it warns of shapes in lines of its own
    if threads is not None:
        options.intra_op_num_threads = threads
    with graph_errors(path):
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@contextmanager
def graph_errors(path: Path) -> Iterator[None]:
    """Turn what onnxruntime raises, which has no common base, into one line.

    Raises:
        InputError: naming ``path``.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    kinds = (kind for kind in vars(states).values() if isinstance(kind, type))
    failures: tuple[type[Exception], ...] = (
        RuntimeError,
        ValueError,
        *(kind for kind in kinds if issubclass(kind, Exception)),
    )
    try:
        yield
    except failures as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"is no graph that onnxruntime runs ({reason})", source=path, fix="copy or export it again"
        ) from error
