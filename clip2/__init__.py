"""clip2: words for things in 3D.

>>> import clip2
>>> clip2.__version__
'0.1.0'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Name → module. Resolved on first use, so that `clip2 --help` and `clip2 prep` never import torch.
_LAZY = {
    "load": "clip2.checkpoint",
    "Clip2Model": "clip2.model",
    "Recognizer": "clip2.recognition",
    "Instances3D": "clip2.recognition",
    "TextBank": "clip2.teacher",
    "Teacher": "clip2.teacher",
    "create_encoder": "clip2.encoders",
    "list_encoders": "clip2.encoders",
}

__all__ = ["__version__", *_LAZY]

if TYPE_CHECKING:
    from clip2.checkpoint import load as load
    from clip2.encoders import create_encoder as create_encoder
    from clip2.encoders import list_encoders as list_encoders
    from clip2.model import Clip2Model as Clip2Model
    from clip2.recognition import Instances3D as Instances3D
    from clip2.recognition import Recognizer as Recognizer
    from clip2.teacher import Teacher as Teacher
    from clip2.teacher import TextBank as TextBank


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'clip2' has no attribute {name!r}")
