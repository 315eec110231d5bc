"""Frozen CLIP model: image preprocessing, image tower and text tower of open_clip."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from clip2.device import parse_device
from clip2.labels import parse_labels
from clip2.teacher.open_clip_models import LoadedClip, load_open_clip
from clip2.teacher.prompts import fill_templates, require_templates
from data_prep.errors import InputError

Precision = Literal["auto", "fp32", "bf16"]
# CLIP's own preprocessing reads the middle square only, so cutting the ends of a sliver loses nothing, and a 1 x 4000 crop
# does not become a 224 x 896,000 image.
_MAX_ASPECT = 16


@dataclass(frozen=True, eq=False)
class Teacher:
    """An open_clip model, frozen and in eval mode. A :class:`~clip2.teacher.TextSource`.

    Attributes:
        model: canonical name of its embedding space: ``NAME/TAG``; ``local-dir@…`` or ``mini@…`` with the fingerprint
            of the weights if they are not a published model.
        width: D, width of the vectors.
        device: device of both towers.
        fingerprint: short hash of all weights.
        preprocess: image → network input.
        templates: prompt set of :meth:`embed_labels`, a key of :data:`~clip2.teacher.PROMPTS`.

    >>> teacher = Teacher.load("mini")
    >>> teacher.embed_labels(["chair", "table"]).shape
    (2, 128)
    """

    model: str
    width: int
    device: torch.device
    fingerprint: str
    preprocess: CropPreprocessing
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
        """Load a CLIP model by open_clip's naming schemes.

        Args:
            name: ``NAME/TAG`` (``ViT-B-32/laion2b_s34b_b79k``); ``hf-hub:org/repo``; ``local-dir:/path`` with
                ``open_clip_config.json`` and the weights; or ``mini``, the small stand-in for CLIP that ships with the
                package and knows only the synthetic world.
            device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: CUDA if available.
            model: ``NAME/TAG`` of the published model in a ``local-dir:``; its vectors then match text banks of that
                name.
            templates: prompt set of :meth:`embed_labels`, a key of :data:`~clip2.teacher.PROMPTS`.
            precision: of the image tower. ``auto``: bfloat16 where it is faster (CUDA with bfloat16, CPUs with AMX;
                cosines differ from float32 by 1e-4), else float32. The text tower is always float32.

        Raises:
            InputError: unknown name or tag (the nearest are named), weights that cannot be downloaded, an incomplete
                folder, an unknown device or prompt set.
        """
        require_templates(templates)
        chosen = parse_device(device)
        loaded = load_open_clip(name, model)
        network = loaded.network.eval().requires_grad_(False)
        fingerprint = weights_fingerprint(network)
        dtype = _image_dtype(precision, chosen)
        network.to(chosen)
        # Autocast would cast the frozen weights again in every call: ViT-B/32 on one AMX core runs at 10 images/s with
        # autocast, 15 in float32, 60 when cast once.
        network.visual.to(dtype)
        return cls(
            model=loaded.model or f"{name.partition(':')[0]}@{fingerprint}",
            width=_width(loaded, chosen),
            device=chosen,
            fingerprint=fingerprint,
            preprocess=CropPreprocessing(loaded.preprocess),
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
        """Vectors of images.

        Args:
            images: (h, w, 3) uint8 RGB each, of any sizes; an iterator is read at most one batch ahead.
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
                # Results stay on the device, so that the next batch is prepared while this one is computed.
                vectors.append(self._network.encode_image(pixels.to(self.device, self._image_dtype)))
        return self._unit(vectors)

    @torch.inference_mode()
    def encode_texts(
        self, labels: str | Sequence[str], templates: str = "clip2", batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Vectors of labels: the mean over the prompts of a set, normalized before and after.

        Args:
            labels: K labels or phrases; ``_`` is read as a space.
            templates: prompt set, a key of :data:`~clip2.teacher.PROMPTS`.
            batch_size: prompts per forward pass.

        Returns:
            (K, D) float32 unit rows.

        Raises:
            InputError: no labels, a label twice, an unknown prompt set.
        """
        names = parse_labels(labels)
        prompts = [prompt for name in names for prompt in fill_templates(name, templates)]
        vectors = [
            functional.normalize(self._network.encode_text(self._tokenize(batch).to(self.device)), dim=-1)
            for batch in _batches(prompts, batch_size)
        ]
        return self._unit([torch.cat(vectors).unflatten(0, (len(names), -1)).mean(dim=1)])

    def embed_labels(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """(K, D) float32 unit rows of K labels, with the prompt set :attr:`templates`."""
        return self.encode_texts(labels, self.templates)

    def with_templates(self, templates: str) -> Teacher:
        """The same network with another prompt set, a key of :data:`~clip2.teacher.PROMPTS`.

        Raises:
            InputError: an unknown prompt set.
        """
        require_templates(templates)
        return replace(self, templates=templates)

    @property
    def logit_scale(self) -> float:
        """CLIP's factor of the cosines before the softmax; about 100."""
        return float(self._network.logit_scale.exp())

    def _unit(self, vectors: list[torch.Tensor]) -> NDArray[np.float32]:
        if not vectors:
            return np.zeros((0, self.width), np.float32)
        rows = functional.normalize(torch.cat(vectors).float(), dim=-1).cpu().numpy()
        if not np.isfinite(rows).all():
            raise InputError(
                "computes vectors that are not finite",
                source=self.model,
                fix="check the weights, or use fp32",
            )
        return rows


class CropPreprocessing:
    """CLIP's image preprocessing: resize the short side (bicubic, antialiased), center crop, divide by 255, normalize.

    It is open_clip's own transform, bit for bit, except that images more than 16 times longer than wide are first
    cropped to that aspect.

    Attributes:
        config: ``size``, ``mean``, ``std``, ``interpolation``, ``resize_mode``, ``fill_color``; part of the identity
            of stored features.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        try:
            settings = PreprocessCfg(**config)
            self._transform = image_transform_v2(settings, is_train=False)
        except (AssertionError, TypeError, ValueError) as error:
            raise InputError(f"cannot be used ({error!r})", field="preprocess_cfg") from error
        self._cuts_to_square = settings.resize_mode == "shortest"
        self.config = {
            "size": list(settings.size) if isinstance(settings.size, tuple | list) else [settings.size] * 2,
            "mean": list(settings.mean),
            "std": list(settings.std),
            "interpolation": settings.interpolation,
            "resize_mode": settings.resize_mode,
            "fill_color": settings.fill_color,
        }

    def __call__(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """A (3, S, S) float32 tensor from one (h, w, 3) uint8 RGB image.

        Raises:
            InputError: another shape or dtype, or no pixels.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise InputError(
                f"is {image.dtype} {image.shape}",
                field="image",
                fix="give (h, w, 3) uint8 RGB with at least one pixel; repeat a gray image three times",
            )
        if self._cuts_to_square:
            image = _without_long_ends(image)
        tensor: torch.Tensor = self._transform(Image.fromarray(np.ascontiguousarray(image)))
        return tensor


def _without_long_ends(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    longest = _MAX_ASPECT * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return image[top : top + longest, left : left + longest]


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _width(loaded: LoadedClip, device: torch.device) -> int:
    with torch.inference_mode():
        return int(loaded.network.encode_text(loaded.tokenize(["a"]).to(device)).shape[-1])


def weights_fingerprint(network: torch.nn.Module) -> str:
    """Short hash of all weights."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def _image_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision == "auto":
        pays = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_amx(device)
        return torch.bfloat16 if pays else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def _cpu_has_amx(device: torch.device) -> bool:
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()
