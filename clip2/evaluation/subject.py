"""Subjects of an evaluation: a model with its label vectors, or a file of another tool's results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.model import Clip2Model
from clip2.pretrained.loading import load
from clip2.teacher.prompts import PROMPTS
from clip2.teacher.text_source import TextSource
from clip2.teacher.text_with_tower import BankWithTower
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256

_DIGITS = 16


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated.

    Attributes:
        name: as it stands in tables.
        loaded: the model; None: a file of predictions.
        text: its label vectors; None: the model's own.
        file: predictions of any tool; None: a model.
    """

    name: str
    loaded: Clip2Model | None = None
    text: TextSource | None = None
    file: Path | None = None

    @classmethod
    def open(
        cls, source: str | Path | Clip2Model, text: TextSource | None = None, device: str = "cpu"
    ) -> Subject:
        """A subject from what :func:`clip2.load` takes, a model in memory, or the path of a ``.json`` file.

        Raises:
            InputError: it cannot be loaded, or the label vectors are of another CLIP model than the model's.
        """
        if isinstance(source, Clip2Model):
            model, name = source, "model"
        elif str(source).endswith(".json"):
            path = Path(source)
            if not path.is_file():
                raise InputError("is not there", source=path, field="model", fix="check the path")
            return cls(path.stem, file=path)
        else:
            model, name = load(source, device=device), str(source)
        return cls(name, model, None if text is None else model.text_source(text))

    @property
    def model(self) -> Clip2Model:
        """The model.

        Raises:
            InputError: this subject is a file of predictions.
        """
        if self.loaded is None:
            raise InputError(
                "is a file of predictions", source=self.file, fix="this protocol needs a model to run"
            )
        return self.loaded

    def color_state(self, kept: bool) -> str:
        """What becomes of the colors in the data, in words; ``kept``: they are given to the model."""
        if not kept:
            return "left out"
        config = self.model.config
        if not config.preprocessing.color or config.colors_seen == "absent":
            return "as stored, but this model does not read it"
        return "as stored"

    @property
    def predictions(self) -> Path:
        """The file of predictions.

        Raises:
            InputError: this subject is a model.
        """
        if self.file is None:
            raise InputError("is a model", source=self.name, fix="give a .json file of predictions")
        return self.file

    @cached_property
    def digest(self) -> str:
        """Hash of weights and configuration, or of the file's bytes."""
        if self.loaded is None:
            return file_sha256(self.predictions)[:_DIGITS]
        found = hashlib.sha256(json.dumps(self.model.config.model_dump(mode="json"), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        if self.model.ood_detector is not None:
            found.update(self.model.ood_detector.distances.tobytes())
        return found.hexdigest()[:_DIGITS]

    def source_of_text(self) -> TextSource:
        """The label vectors.

        Raises:
            InputError: there are none.
        """
        return self.model.text_source(self.text)

    def can_name(self, label: str) -> bool:
        """Whether there is a vector for a label: a bank holds some labels, a text tower any."""
        text = self.source_of_text()
        return not hasattr(text, "find") or text.find(label) is not None

    def vectors(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) unit rows of K labels."""
        return self.source_of_text().embed_labels(labels)

    def single_prompts(
        self, labels: Sequence[str], templates: str, progress: Callable[[str, int, int], None]
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each sentence of a prompt set, and (K, D) vectors of the labels in it alone; none without a text tower."""
        source = self.source_of_text()
        if isinstance(source, BankWithTower):
            source = replace(source, bank=None)
        elif hasattr(source, "find"):
            return
        sentences = PROMPTS[templates]
        for number, sentence in enumerate(sentences):
            yield sentence, source.with_templates(f"{templates}/{number}").embed_labels(labels)
            progress(f"prompts of {templates}", number + 1, len(sentences))
