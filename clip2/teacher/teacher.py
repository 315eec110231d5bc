"""The frozen CLIP that points are taught to agree with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from clip2.labels import parse_labels
from clip2.teacher.crops import Preprocess
from clip2.teacher.open_clip_models import LoadedClip, load_open_clip
from clip2.teacher.prompts import fill_templates, require_templates
from data_prep.errors import InputError

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, eq=False)
class Teacher:
    """An open_clip model, frozen, in eval mode, that never sees a gradient. A :class:`~clip2.teacher.TextSource`.

    Attributes:
        model: canonical name of its embedding space: ``NAME/TAG``, or ``local-dir@…`` with the fingerprint of the
            weights where a local folder does not say what it holds, ``mini@…`` for the embedded one.
        width: D, numbers per vector.
        device: where it runs.
        fingerprint: short hash of all weights.
        preprocess: image → network input.
        templates: prompt set of :meth:`embed_labels`, a key of :data:`~clip2.teacher.PROMPTS`.
    """

    model: str
    width: int
    device: torch.device
    fingerprint: str
    preprocess: Preprocess
    _network: Any
    _tokenize: Any
    _image_dtype: torch.dtype
    templates: str = "clip2"

    @classmethod
    def load(
        cls,
        name: str,
        device: str | torch.device = "cpu",
        *,
        model: str | None = None,
        templates: str = "clip2",
        precision: Precision = "auto",
    ) -> Teacher:
        """Load a CLIP model by open_clip's own naming schemes.

        Args:
            name: ``NAME/TAG`` (``ViT-B-32/laion2b_s34b_b79k``), ``hf-hub:org/repo``, ``local-dir:/path`` with
                ``open_clip_config.json`` and the weights, safetensors preferred; or ``mini``, the small stand-in that
                ships with the package and knows only the embedded world.
            device: ``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes CUDA where there is one.
            model: what a ``local-dir:`` holds, as ``NAME/TAG``, when it is a published model fetched by hand; its
                vectors then go together with text banks of that name.
            templates: prompt set of :meth:`embed_labels`, a key of :data:`~clip2.teacher.PROMPTS`.
            precision: of the image tower. ``auto``: bfloat16 where it pays (CUDA with bfloat16, CPUs with AMX; its
                vectors differ from float32 ones by a cosine of 1e-4), else float32. Words are always float32.

        Raises:
            InputError: unknown name or tag (the nearest are named), weights that are not there and cannot be fetched,
                an incomplete folder, an unknown device, an unknown prompt set.
        """
        require_templates(templates)
        chosen = _device(device)
        loaded = load_open_clip(name, model)
        network = loaded.network.eval().requires_grad_(False)
        fingerprint = _fingerprint(network)
        dtype = _image_dtype(precision, chosen)
        network.to(chosen)
        # Cast once instead of autocast: autocast casts frozen weights again in every call, which made it slower than
        # float32 (ViT-B/32 on one AMX core: 10 against 15 images/s; cast once: 60).
        network.visual.to(dtype)
        return cls(
            model=loaded.model or f"{name.partition(':')[0]}@{fingerprint}",
            width=_width(loaded, chosen),
            device=chosen,
            fingerprint=fingerprint,
            preprocess=Preprocess(loaded.preprocess),
            _network=network,
            _tokenize=loaded.tokenize,
            _image_dtype=dtype,
            templates=templates,
        )

    @property
    def name(self) -> str:
        """The same as :attr:`model`."""
        return self.model

    @torch.inference_mode()
    def encode_images(self, images: Iterable[NDArray[np.uint8]], batch_size: int = 64) -> NDArray[np.float32]:
        """Vectors of images, resized and cropped the way this CLIP was trained.

        Args:
            images: (h, w, 3) uint8 RGB each, of any sizes; an iterator is read one batch ahead at most.
            batch_size: images per forward pass.

        Returns:
            (B, D) float32 unit rows.

        Raises:
            InputError: an image that is not (h, w, 3) uint8 with at least one pixel, or a vector that is not finite.
        """
        vectors = []
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            for batch in _batches(images, batch_size):
                pixels = torch.stack(list(pool.map(self.preprocess, batch)))
                # Results stay on the device: the next batch is prepared while this one is computed.
                vectors.append(self._network.encode_image(pixels.to(self.device, self._image_dtype)))
        return self._unit(vectors)

    @torch.inference_mode()
    def encode_texts(
        self, labels: str | Sequence[str], templates: str = "clip2", batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Vectors of words: each is put into every sentence of a prompt set; normalized, averaged, normalized again.

        Args:
            labels: K words or phrases; ``_`` is read as a space.
            templates: a key of :data:`~clip2.teacher.PROMPTS`.
            batch_size: sentences per forward pass.

        Returns:
            (K, D) float32 unit rows.

        Raises:
            InputError: no labels, a label twice, an unknown prompt set.
        """
        words = parse_labels(labels)
        sentences = [sentence for word in words for sentence in fill_templates(word, templates)]
        vectors = [
            functional.normalize(self._network.encode_text(self._tokenize(batch).to(self.device)), dim=-1)
            for batch in _batches(sentences, batch_size)
        ]
        return self._unit([torch.cat(vectors).unflatten(0, (len(words), -1)).mean(dim=1)])

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """:meth:`encode_texts` with this teacher's own prompts, under the name that every text source has."""
        return self.encode_texts(labels, self.templates)

    def with_templates(self, templates: str) -> Teacher:
        """The same network speaking in another prompt set, a key of :data:`~clip2.teacher.PROMPTS`.

        Raises:
            InputError: an unknown prompt set.
        """
        require_templates(templates)
        return replace(self, templates=templates)

    @property
    def logit_scale(self) -> float:
        """Factor that CLIP multiplies cosines with before the softmax; about 100."""
        return float(self._network.logit_scale.exp())

    def _unit(self, vectors: list[torch.Tensor]) -> NDArray[np.float32]:
        if not vectors:
            return np.zeros((0, self.width), np.float32)
        rows = functional.normalize(torch.cat(vectors).float(), dim=-1).cpu().numpy()
        if not np.isfinite(rows).all():
            raise InputError(
                "gives vectors that are not finite", source=self.model, fix="check the weights, or use fp32"
            )
        return rows


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _width(loaded: LoadedClip, device: torch.device) -> int:
    with torch.inference_mode():
        return int(loaded.network.encode_text(loaded.tokenize(["a"]).to(device)).shape[-1])


def _fingerprint(network: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"{device!r} is not a device", field="device", fix="use cpu, cuda or auto"
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available", field="device", fix="use cpu or auto")
    return chosen


def _image_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision == "auto":
        pays = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_amx(device)
        return torch.bfloat16 if pays else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def _cpu_has_amx(device: torch.device) -> bool:
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()
