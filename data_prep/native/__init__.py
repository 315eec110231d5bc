"""Native library of point operations, called with plain pointers: of numpy arrays or of torch tensors.

`pip install` builds ``_kernels`` from the C++ beside it if a compiler is available. The library knows neither Python
nor torch, and other Python threads keep running while it works.
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import c_double, c_int, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

_ABI = 6  # of native.cpp; a library left over from another version must not be called
_CLOUDS = (c_void_p, c_int64, c_int64, c_void_p)  # points, batch, count, lengths
_REDUCTION = (c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int64, c_void_p)
_SIGNATURES = {
    "farthest_point_sample": (*_CLOUDS, c_void_p, c_int64, c_int64, c_void_p),
    "ball_query": (*_CLOUDS, c_void_p, c_int64, c_double, c_int64, c_int64, c_void_p),
    "knn": (*_CLOUDS, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p),
    "radius_components": (c_void_p, c_int64, c_void_p, c_int64, c_void_p),
    "blur": (c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int64, c_int64, c_void_p),
    "extents": (c_void_p, c_int64, *(c_void_p,) * 3, c_int64, c_int64, *(c_void_p,) * 3),
    "number_keys": (c_void_p, c_int64, c_void_p, c_void_p, c_void_p),
    "segment_sum": _REDUCTION,
    "segment_mean": _REDUCTION,
    "segment_max": _REDUCTION,
    "segment_softmax": _REDUCTION,
}
_limit = threading.local()


def instruction_set() -> str:
    """The instruction set the kernels run with here: ``avx512``, ``avx2`` or ``baseline``."""
    return _library().clip2_instruction_set().decode()


def limit_instruction_set(level: int) -> int:
    """Use at most ``level`` (0 baseline, 1 AVX2, 2 AVX-512) of what this CPU has; returns the level in use."""
    return _library().clip2_limit_instruction_set(level)


@cache
def problem() -> str | None:
    """Why the library cannot serve here; None when it can."""
    path = _path()
    if path is None:
        return "not built; install clip2 from source where there is a C++ compiler"
    try:
        found = ctypes.CDLL(str(path)).clip2_abi()
    except (OSError, AttributeError) as error:
        return f"{path.name} cannot be loaded: {error}"
    if found != _ABI:
        return f"{path.name} was built for another version; install clip2 again"
    return None


def _path() -> Path | None:
    candidates = (Path(__file__).parent / f"_kernels{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


@cache
def _library() -> ctypes.CDLL:
    if reason := problem():
        raise RuntimeError(f"native point operations: {reason}")
    library = ctypes.CDLL(str(_path()))
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, f"clip2_{name}")
        function.argtypes, function.restype = arguments, c_int
    library.clip2_instruction_set.restype = ctypes.c_char_p
    return library


def limit_threads(count: int) -> None:
    """Use at most ``count`` threads in what this Python thread calls."""
    _limit.count = count


def threads() -> int:
    """Threads of the native library: ``OMP_NUM_THREADS``, or as many as the process may use cores."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        count = int(stated)
    else:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, getattr(_limit, "count", count))


def call(op: str, *arguments: Any) -> None:
    """Run one operation; its arguments are those of the C function.

    Args:
        op: name of the C function without ``clip2_``.
        arguments: numbers, None, and contiguous numpy arrays or CPU tensors of the types in ``native.cpp``.

    Raises:
        IndexError: a segment number out of range.
        MemoryError: no memory is left.
    """
    status = getattr(_library(), f"clip2_{op}")(*map(_pointer, arguments))
    if status == 2:
        raise IndexError(f"{op}: index reaches outside 0..num_segments-1")
    if status:
        raise MemoryError(f"{op} ran out of memory")


def _pointer(value: Any) -> Any:
    if hasattr(value, "data_ptr"):
        return value.data_ptr()
    return value.ctypes.data if hasattr(value, "ctypes") else value
