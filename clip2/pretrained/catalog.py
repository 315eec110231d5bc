"""Catalog of public point encoders: where each lies, its license, its size, and what was published about it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from data_prep.errors import InputError

# What a machine without a GPU should start with: of the models with a text tower below 0.1 B parameters it is the only
# one that takes color, and the cheapest per object (docs/pretrained.md).
RECOMMENDED = "openshape-vitb32"

_BIG_G = "ViT-bigG-14/laion2b_s39b_b160k"
_EVA_E = "EVA02-E-14-plus/laion2b_s9b_b144k"
_SLIP = "SLIP-ViT-B/ulip"


@dataclass(frozen=True)
class PretrainedModel:
    """A public point encoder.

    Attributes:
        name: for :func:`clip2.load` and ``--model``.
        repository, kind, file, revision: where the weights lie on huggingface.co.
        size: bytes of the file; None: not known before the download.
        sha256: of the file; None: not known, then recorded at the first download and checked from then on.
        license: of code and weights, as far as stated.
        parameters: of the point encoder with its projection, in millions.
        clip: CLIP model of its space, by open_clip's name.
        text_parameters: of that CLIP's text tower, in billions.
        points: points per object.
        color: whether it takes color.
        axes: axes of the training clouds; ours stay z-up.
        paper: arXiv number.
        scores: top-1 accuracy in percent as published: Objaverse-LVIS, ModelNet40, ScanObjectNN; None: not published.
        milliseconds: CPU time of one object on one core of an AMD EPYC in float32, as in docs/pretrained.md; None: not
            measured.
    """

    name: str
    repository: str
    file: str
    license: str
    parameters: float
    clip: str
    text_parameters: float
    axes: str
    paper: str
    kind: Literal["model", "dataset"] = "model"
    revision: str = "main"
    size: int | None = None
    sha256: str | None = None
    points: int = 10_000
    color: bool = True
    scores: tuple[float | None, float | None, float | None] = (None, None, None)
    milliseconds: int | None = None

    @property
    def url(self) -> str:
        """Page of the repository."""
        return f"https://huggingface.co/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


def _openshape(
    name: str,
    repository: str,
    parameters: float,
    clip: str,
    text: float,
    axes: str = "y-up",
    scores: tuple[float | None, float | None, float | None] = (None, None, None),
    revision: str = "main",
    size: int | None = None,
    sha256: str | None = None,
    milliseconds: int | None = None,
) -> PretrainedModel:
    return PretrainedModel(
        name=f"openshape-{name}",
        repository=f"OpenShape/openshape-pointbert-{repository}",
        file="model.pt",
        license="code Apache-2.0, weights MIT",
        parameters=parameters,
        clip=clip,
        text_parameters=text,
        axes=axes,
        paper="2305.10764",
        scores=scores,
        revision=revision,
        size=size,
        sha256=sha256,
        milliseconds=milliseconds,
    )


def _uni3d(
    size: str,
    parameters: float,
    bytes_: int,
    scores: tuple[float | None, float | None, float | None] = (None, None, None),
    milliseconds: int | None = None,
) -> PretrainedModel:
    return PretrainedModel(
        name=f"uni3d-{size}",
        repository="BAAI/Uni3D",
        file=f"modelzoo/uni3d-{size}/model.pt",
        license="code MIT, weights: see the repository",
        parameters=parameters,
        clip=_EVA_E,
        text_parameters=0.69,
        axes="y-up",
        paper="2310.06773",
        size=bytes_,
        scores=scores,
        milliseconds=milliseconds,
    )


def _ulip(name: str, file: str, parameters: float, paper: str, **more: object) -> PretrainedModel:
    return PretrainedModel(
        name=name,
        repository="SFXX/ulip",
        kind="dataset",
        file=file,
        license="code BSD-3-Clause, weights: see the repository (trained on ShapeNet and Objaverse)",
        parameters=parameters,
        axes="y-up",
        paper=paper,
        **more,  # type: ignore[arg-type]
    )


CATALOG: dict[str, PretrainedModel] = {
    entry.name: entry
    for entry in (
        _openshape(
            "vitb32",
            "vitb32-rgb",
            25.6,
            "ViT-B-32/openai",
            0.06,
            revision="47e04daac585b2ce1cbbc72a42c0bf11971acddd",
            size=101_260_675,
            sha256="491a08f1922713df67099dfb7ffceaa6e039fd3953f99f80ecd7178d727c7f3f",
            milliseconds=72,
        ),
        _openshape("vitl14", "vitl14-rgb", 25.7, "ViT-L-14/openai", 0.12, milliseconds=72),
        _openshape(
            "vitg14",
            "vitg14-rgb",
            32.3,
            _BIG_G,
            0.69,
            "y-up, y and z swapped",
            scores=(46.8, 84.4, 52.2),
            milliseconds=357,
        ),
        _openshape(
            "vitg14-no-lvis",
            "no-lvis",
            32.3,
            _BIG_G,
            0.69,
            "y-up, y and z swapped",
            scores=(39.1, 85.3, None),
            milliseconds=357,
        ),
        _openshape(
            "vitg14-shapenet",
            "shapenet",
            32.3,
            _BIG_G,
            0.69,
            "y-up, y and z swapped",
            scores=(10.8, 70.3, None),
            milliseconds=357,
        ),
        _uni3d("ti", 6.2, 12_835_148, milliseconds=455),
        _uni3d("s", 22.5, 45_713_996, milliseconds=656),
        _uni3d("b", 87.0, 178_008_217, (51.7, 86.3, 63.8), milliseconds=1614),
        _uni3d("l", 304.7, 614_861_649, (53.1, 86.3, 58.2)),
        _uni3d("g", 1012.9, 2_034_909_361, (53.5, 87.3, 63.9)),
        _ulip(
            "ulip2-pointbert",
            "ULIP-2/pretrained_models/ULIP-2-PointBERT-10k-xyzrgb-pc-vit_g-objaverse_shapenet-pretrained.pt",
            33.5,
            "2305.08275",
            clip=_BIG_G,
            text_parameters=0.69,
            scores=(50.6, 84.7, 51.5),
            milliseconds=636,
        ),
        _ulip(
            "ulip-pointbert",
            "ULIP-1/pretrained_models/ckpt_zero-sho_classification/checkpoint_pointbert.pt",
            22.3,
            "2212.05171",
            clip=_SLIP,
            text_parameters=0.06,
            points=8192,
            color=False,
            scores=(None, 60.3, None),
            milliseconds=429,
        ),
    )
}


def list_pretrained(filter: str = "*") -> list[str]:
    """Names of the public point encoders that :func:`clip2.load` fetches.

    Args:
        filter: pattern with ``*``; a text without one matches names that contain it.

    >>> list_pretrained("uni3d-*")
    ['uni3d-ti', 'uni3d-s', 'uni3d-b', 'uni3d-l', 'uni3d-g']
    """
    pattern = filter if any(sign in filter for sign in "*?[") else f"*{filter}*"
    return [name for name in CATALOG if fnmatch(name, pattern)]


def find_pretrained(name: str) -> PretrainedModel:
    """The entry of a name.

    Raises:
        InputError: there is none; the nearest are named.

    >>> find_pretrained("openshape-vitb32").clip
    'ViT-B-32/openai'
    """
    if name not in CATALOG:
        near = difflib.get_close_matches(name, CATALOG, n=3, cutoff=0.4) or list(CATALOG)[:3]
        raise InputError(
            f"{name!r} is no public point encoder",
            field="model",
            fix=f"did you mean {' or '.join(near)}? clip2 info --pretrained lists all {len(CATALOG)}",
        )
    return CATALOG[name]
