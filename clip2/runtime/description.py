"""Description of an exported model: the JSON beside the graphs, enough to preprocess, to find indices and to label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from clip2.model_config import ModelConfig
from data_prep.config import TypedConfig, parse_config
from data_prep.errors import InputError
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.versioned import FileFormat

FILE, BANK_FILE, OOD_FILE = "clip2_onnx.json", "text_bank.npz", "ood.safetensors"
_MOST = 1 << 16  # points of a sample or neighborhood
FORMAT = FileFormat("clip2-onnx", 1)


def is_export(name: str) -> bool:
    """Whether a model's name is a folder that ``clip2 export`` wrote."""
    return (Path(name) / FILE).is_file()


class Query(TypedConfig):
    """One search for neighbors, whose result is an input of ``encoder.onnx``.

    Attributes:
        op: ``ball_query`` or ``knn``, as in :mod:`clip2.ops`.
        searched: the cloud that is searched: the first so many points of the sample; None: all points.
        centers: the centers are the first so many points of the sample.
        radius: of the ball, in units of the graph's points; None for ``knn``.
        k: neighbors of each center.
    """

    op: Literal["ball_query", "knn"]
    searched: int | None = Field(ge=1)
    centers: int = Field(ge=1)
    radius: float | None = Field(gt=0, allow_inf_nan=False)
    k: int = Field(ge=1, le=_MOST)


class IndexPlan(TypedConfig):
    """Index inputs of ``encoder.onnx``, in their order: ``sample`` (B, samples), ``neighbors_0`` (B, centers, k), ...

    Attributes:
        samples: points of the farthest-point sample; 0: the encoder takes none.
        queries: searches for neighbors.
    """

    samples: int = Field(ge=0, le=_MOST)
    queries: tuple[Query, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the index inputs."""
        return ("sample", *(f"neighbors_{i}" for i in range(len(self.queries)))) if self.samples else ()


class Graph(TypedConfig):
    """One ONNX file.

    Attributes:
        file, sha256: the file and its checksum.
        inputs: names of the inputs, in their order.
        reference: npz file with example inputs and the outputs that torch gives for them.
    """

    file: str
    sha256: str
    inputs: tuple[str, ...]
    reference: str


class OnnxDescription(TypedConfig):
    """Content of ``clip2_onnx.json``.

    Attributes:
        format, version: kind of file.
        clip2_version: release that wrote it.
        opset: ONNX opset of the graphs.
        model: encoder, preprocessing and teacher, as in a checkpoint.
        logit_scale: factor of the cosines before the softmax.
        plan: index inputs of ``encoder.onnx``.
        graphs: ``encoder`` takes indices, ``encoder_full`` finds them; ``encoder_int8`` is ``encoder`` in 8 bits.
        text_bank, ood: label vectors and out-of-distribution detector beside the graphs, if the model has them.
    """

    format: Literal["clip2-onnx"] = "clip2-onnx"
    version: Literal[1] = 1
    clip2_version: str
    opset: int
    model: ModelConfig
    logit_scale: float
    plan: IndexPlan
    graphs: dict[str, Graph]
    text_bank: str | None = None
    ood: str | None = None
    notes: dict[str, str] = Field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``clip2_onnx.json``; it appears whole or not at all."""
        text = json.dumps(self.model_dump(mode="json"), indent=2) + "\n"
        write_atomically(folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, folder: Path) -> OnnxDescription:
        """Read the description of a folder that ``clip2 export`` wrote.

        Raises:
            InputError: no such file, or another kind of file.
        """
        path = folder / FILE
        if not path.is_file():
            raise InputError(f"has no {FILE}", source=folder, fix="give a folder that clip2 export wrote")
        try:
            values = parse_json(read_text(path))
        except (ValueError, OSError) as error:
            raise InputError(f"is not JSON ({error})", source=path) from error
        FORMAT.require(values, path, fix="give a folder that clip2 export wrote")
        return parse_config(cls, values, source=path)
