"""Open-vocabulary names for objects in 3D point clouds.

>>> import clip2
>>> clip2.__version__
'0.1.0'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clip2.version import __version__ as __version__
from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.checkpoint import save as save
    from clip2.classification import Classification as Classification
    from clip2.encoders import create_encoder as create_encoder
    from clip2.encoders import list_encoders as list_encoders
    from clip2.evaluation.protocol import evaluate as evaluate
    from clip2.mapping import ObjectMap as ObjectMap
    from clip2.model import Clip2Model as Clip2Model
    from clip2.preprocessing import Preprocessing as Preprocessing
    from clip2.pretrained.catalog import list_pretrained as list_pretrained
    from clip2.pretrained.loading import load as load
    from clip2.recognition.instances import Instances3D as Instances3D
    from clip2.recognition.recognizer import Recognizer as Recognizer
    from clip2.search.index import Index as Index
    from clip2.server.client import Client as Client
    from clip2.teacher import Teacher as Teacher
    from clip2.teacher import TextBank as TextBank
    from clip2.teacher import embed_triplets as embed_triplets
    from clip2.training import train as train
    from data_prep.errors import InputError as InputError

# Imported on first use: a help page, or a robot that reads results, never pays for torch.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Classification": "clip2.classification",
        "Client": "clip2.server.client",
        "Clip2Model": "clip2.model",
        "Index": "clip2.search.index",
        "InputError": "data_prep.errors",
        "Instances3D": "clip2.recognition.instances",
        "ObjectMap": "clip2.mapping",
        "Preprocessing": "clip2.preprocessing",
        "Recognizer": "clip2.recognition.recognizer",
        "Teacher": "clip2.teacher",
        "TextBank": "clip2.teacher",
        "create_encoder": "clip2.encoders",
        "embed_triplets": "clip2.teacher",
        "evaluate": "clip2.evaluation.protocol",
        "list_encoders": "clip2.encoders",
        "list_pretrained": "clip2.pretrained.catalog",
        "load": "clip2.pretrained.loading",
        "save": "clip2.checkpoint",
        "train": "clip2.training",
    },
)
__all__ = ["__version__", *__all__]
