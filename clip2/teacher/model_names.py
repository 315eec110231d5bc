"""One name per embedding space, so that vectors of two CLIP models are never mixed."""

from __future__ import annotations

import re

# OpenAI's own spelling: ViT-B/32, ViT-L/14@336px. open_clip's for the same weights: ViT-B-32/openai.
_OPENAI_OWN = re.compile(r"ViT-([A-Z])/(\d+)(?:@(\d+)px)?")


def canonical_model(name: str) -> str:
    """Name of the embedding space a CLIP model's vectors live in; two names of one space come out equal.

    The canonical form is open_clip's ``NAME/TAG``. Aliases that are resolved:

    - ``NAME-quickgelu/TAG``: whether weights need QuickGELU is a property of their tag, not a choice, and
      ``Teacher.load`` builds the network that the tag was trained as, whichever spelling it is given.
    - ``ViT-B/32``, ``ViT-L/14@336px``: the names of OpenAI's own package.

    ``hf-hub:`` names of weights that open_clip lists under a ``NAME/TAG`` are resolved by ``Teacher.load``.

    >>> canonical_model("ViT-B-32-quickgelu/openai"), canonical_model("ViT-L/14@336px")
    ('ViT-B-32/openai', 'ViT-L-14-336/openai')
    """
    name = name.strip()
    own = _OPENAI_OWN.fullmatch(name)
    if own:
        size, patch, pixels = own.groups()
        return f"ViT-{size}-{patch}{f'-{pixels}' if pixels else ''}/openai"
    return re.sub("-quickgelu/", "/", name)
