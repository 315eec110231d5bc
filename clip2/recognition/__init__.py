"""Object proposals, boxes, recognition and its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.recognition.fusion import fuse_frames as fuse_frames
    from clip2.recognition.instances import Instances3D as Instances3D
    from clip2.recognition.proposals import propose_objects as propose_objects
    from clip2.recognition.proposals.masks import propose_with_masks as propose_with_masks
    from clip2.recognition.recognizer import Recognizer as Recognizer
    from data_prep.geometry.upright_box import fit_upright_box as fit_upright_box

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Instances3D": "clip2.recognition.instances",
        "Recognizer": "clip2.recognition.recognizer",
        "fit_upright_box": "data_prep.geometry.upright_box",
        "fuse_frames": "clip2.recognition.fusion",
        "propose_objects": "clip2.recognition.proposals",
        "propose_with_masks": "clip2.recognition.proposals.masks",
    },
)
