"""Scan + words → objects with boxes and names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Name → module. Resolved on first use: reading results needs no torch.
_LAZY = {
    "Instances3D": "clip2.recognition.instances",
    "Recognizer": "clip2.recognition.recognizer",
    "fit_upright_box": "clip2.recognition.boxes",
    "fuse_frames": "clip2.recognition.fusion",
    "propose_objects": "clip2.recognition.proposals",
}

__all__ = [*_LAZY]

if TYPE_CHECKING:
    from clip2.recognition.boxes import fit_upright_box as fit_upright_box
    from clip2.recognition.fusion import fuse_frames as fuse_frames
    from clip2.recognition.instances import Instances3D as Instances3D
    from clip2.recognition.proposals import propose_objects as propose_objects
    from clip2.recognition.recognizer import Recognizer as Recognizer


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'clip2.recognition' has no attribute {name!r}")
