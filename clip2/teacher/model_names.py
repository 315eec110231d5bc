"""One name per embedding space, so that vectors of two CLIP models are never mixed."""

from __future__ import annotations

import re

# OpenAI's own spelling: ViT-B/32, ViT-L/14@336px. open_clip's for the same weights: ViT-B-32/openai.
_OPENAI_OWN = re.compile(r"ViT-([A-Z])/(\d+)(?:@(\d+)px)?")


def canonical_model(name: str) -> str:
    """Name of the embedding space a CLIP model's vectors live in; two names of one space come out equal.

    The canonical form is open_clip's ``NAME/TAG``. Aliases that are resolved:

    - ``NAME-quickgelu/openai``: open_clip switches QuickGELU on for every ``openai`` tag, so both spellings build
      the same network. With any other tag the ``-quickgelu`` variant is a different network and stays apart.
    - ``ViT-B/32``, ``ViT-L/14@336px``: the names of OpenAI's own package.

    ``hf-hub:`` names of weights that open_clip lists under a ``NAME/TAG`` are resolved by ``Teacher.load``.

    >>> canonical_model("ViT-B-32-quickgelu/openai"), canonical_model("ViT-L/14@336px")
    ('ViT-B-32/openai', 'ViT-L-14-336/openai')
    >>> canonical_model("ViT-B-32-quickgelu/laion400m_e32")
    'ViT-B-32-quickgelu/laion400m_e32'
    """
    name = name.strip()
    own = _OPENAI_OWN.fullmatch(name)
    if own:
        size, patch, pixels = own.groups()
        return f"ViT-{size}-{patch}{f'-{pixels}' if pixels else ''}/openai"
    return re.sub(r"-quickgelu/openai$", "/openai", name)
