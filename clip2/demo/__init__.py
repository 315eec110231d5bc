"""The whole path on a small made-up world, offline: ``clip2 demo``."""

from clip2.demo.stages import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
