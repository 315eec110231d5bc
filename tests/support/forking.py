"""Processes that are forked from one that has imported what they need and has used no thread."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerContext


def forking(*modules: str) -> ForkServerContext:
    """A context whose processes find ``modules`` imported, if it is the first of this process that starts one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        sys.path
    )  # Python 3.11's server does not get ours, and imports nothing
    return context
