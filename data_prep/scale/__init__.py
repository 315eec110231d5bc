"""The same work on one process, on many, on a cluster: results in order, memory bounded."""

from data_prep.scale.engine import ENGINES, Engine, InProcess, create_engine

__all__ = ["ENGINES", "Engine", "InProcess", "create_engine"]
