"""Frozen CLIP teacher: text and image vectors, computed once and kept beside the triplets."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "PROMPTS": "clip2.teacher.prompts",
        "Teacher": "clip2.teacher.teacher",
        "TextBank": "clip2.teacher.text_bank",
        "TextSource": "clip2.teacher.text_source",
        "TripletFeatures": "clip2.teacher.features",
        "canonical_model": "clip2.teacher.text_source",
        "embed_triplets": "clip2.teacher.embed",
        "load_features": "clip2.teacher.features",
    },
)

if TYPE_CHECKING:
    from clip2.teacher.embed import embed_triplets as embed_triplets
    from clip2.teacher.features import TripletFeatures as TripletFeatures
    from clip2.teacher.features import load_features as load_features
    from clip2.teacher.prompts import PROMPTS as PROMPTS
    from clip2.teacher.teacher import Teacher as Teacher
    from clip2.teacher.text_bank import TextBank as TextBank
    from clip2.teacher.text_source import TextSource as TextSource
    from clip2.teacher.text_source import canonical_model as canonical_model
