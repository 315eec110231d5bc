"""Threads of numpy's matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep numpy's and scipy's matrix products to one thread inside; a context manager, and a decorator.

    The products of a frame are small. OpenBLAS still splits them over all cores, and its threads then wait for the next
    product in a loop. A frame took more than twice the processor time, and longer, because torch's threads and our kernels' had
    to share their cores with the waiting ones (``python -m benchmarks.realtime``). The number of threads belongs to the
    process: of several threads, the first one inside sets it, and restores it when it leaves.

    >>> import numpy as np
    >>> with single_threaded_blas():
    ...     int((np.ones((2, 3)) @ np.ones((3, 2))).sum())
    12
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # its OpenBLAS is another one than numpy's, and must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
