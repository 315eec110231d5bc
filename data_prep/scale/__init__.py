"""Parallel engines: the same work in one process, in many, or on a cluster, with ordered results and bounded memory."""

from data_prep.scale.engine import ENGINES, Engine, InProcess, create_engine

__all__ = ["ENGINES", "Engine", "InProcess", "create_engine"]
