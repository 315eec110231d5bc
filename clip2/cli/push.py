"""``clip2 push``: a checkpoint as a repository of a model hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class Push:
    """Upload a checkpoint and its model card to a model hub; others load it as hf-hub:ORG/NAME."""

    model: Annotated[Path, tyro.conf.Positional]
    """Folder of clip2 train or clip2.save."""
    repository: Annotated[str, tyro.conf.Positional]
    """hf-hub:ORG/NAME; created if needed. The token of `hf auth login` or HF_TOKEN is used."""
    license: str
    """License of the weights, for the card: an identifier of the hub, like apache-2.0 or cc-by-nc-4.0."""
    private: bool = False
    """Create a private repository."""
    json: bool = False
    """Print the address as JSON."""

    def run(self) -> int:
        """Check, write the card, upload."""
        from clip2.hub import push

        address = push(self.model, self.repository, self.license, self.private)
        print(json.dumps({"address": address}) if self.json else f"pushed {self.model} to {address}")
        return 0
