"""The frozen CLIP: what it says about images and words, computed once and kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Name → module. Resolved on first use: a robot that only looks words up never imports open_clip.
_LAZY = {
    "PROMPTS": "clip2.teacher.prompts",
    "Teacher": "clip2.teacher.teacher",
    "TextBank": "clip2.teacher.text_bank",
    "TextSource": "clip2.teacher.text_source",
    "TripletFeatures": "clip2.teacher.features",
    "canonical_model": "clip2.teacher.model_names",
    "embed_triplets": "clip2.teacher.features",
    "load_features": "clip2.teacher.features",
    "normalize_label": "clip2.labels",
    "parse_labels": "clip2.labels",
}

__all__ = [*_LAZY]

if TYPE_CHECKING:
    from clip2.labels import normalize_label as normalize_label
    from clip2.labels import parse_labels as parse_labels
    from clip2.teacher.features import TripletFeatures as TripletFeatures
    from clip2.teacher.features import embed_triplets as embed_triplets
    from clip2.teacher.features import load_features as load_features
    from clip2.teacher.model_names import canonical_model as canonical_model
    from clip2.teacher.prompts import PROMPTS as PROMPTS
    from clip2.teacher.teacher import Teacher as Teacher
    from clip2.teacher.text_bank import TextBank as TextBank
    from clip2.teacher.text_source import TextSource as TextSource


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'clip2.teacher' has no attribute {name!r}")
