"""Point encoder base class and registry: clouds in, one vector per cloud out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from clip2.ops.batches import check_lengths, check_points
from data_prep.registry import Registry

ENCODERS: Registry[Callable[..., PointEncoder]] = Registry("encoder")
Factory = TypeVar("Factory", bound="Callable[..., PointEncoder]")


def create_encoder(name: str, **config: Any) -> PointEncoder:
    """Build an encoder with freshly initialized weights.

    Args:
        name: one of `list_encoders()`.
        config: keyword arguments of the function of that name; every encoder takes ``feature_channels``.

    Raises:
        ValueError: the name or a config key is unknown, or a value is impossible; the message names it.

    >>> create_encoder("pointnet2_ssg", feature_channels=0).width
    1024
    """
    factory, allowed = ENCODERS[name], encoder_options(name)
    for key in config:
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"encoder {name} has no option {key!r}{hint}; it takes {', '.join(allowed)}")
    return factory(**config)


def list_encoders() -> list[str]:
    """Names of all registered encoders, sorted.

    >>> "pointnet2_ssg" in list_encoders()
    True
    """
    return list(ENCODERS)


def encoder_options(name: str) -> dict[str, Any]:
    """Config keys of the encoder ``name`` with their defaults."""
    parameters = inspect.signature(ENCODERS[name]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def register_encoder(factory: Factory) -> Factory:
    """Decorator: make ``create_encoder(factory.__name__, ...)`` call ``factory``."""
    ENCODERS.register(factory.__name__)(factory)
    return factory


class PointEncoder(nn.Module):
    """Base of all encoders; subclasses implement `embed`.

    Attributes:
        width: channels of the embedding.
        feature_channels: channels per point beside its coordinates (3 for rgb in 0..1), 0 for none.
        absent_features: (feature_channels,) learned vector that means "this cloud has no color"; None when
            ``feature_channels`` is 0.
    """

    def __init__(self, width: int, feature_channels: int) -> None:
        super().__init__()
        if feature_channels < 0:
            raise ValueError(f"feature_channels must be 0 or more, not {feature_channels}")
        self.width = width
        self.feature_channels = feature_channels
        # Starts outside the range of any real color, so that absence is told apart from the first step on.
        self.absent_features = (
            nn.Parameter(torch.full((feature_channels,), -1.0)) if feature_channels else None
        )

    def forward(
        self,
        points: Tensor,
        features: Tensor | None = None,
        *,
        features_present: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Embed a batch of clouds.

        Args:
            points: (B, N, 3) floating, object coordinates, centered and scaled into the unit sphere.
            features: (B, N, feature_channels), rgb in 0..1; None: absent for all clouds.
            features_present: (B,) bool; clouds marked False get the learned absent state whatever ``features``
                holds for them. None: present wherever ``features`` is given.
            lengths: (B,) int64, true points per cloud of a padded batch; padding never influences the result.

        Returns:
            (B, width).

        Raises:
            ValueError: wrong shapes, empty clouds, or features given to an encoder without feature channels.
        """
        check_points(points, "points")
        lengths = check_lengths(lengths, points)
        features = self._fill_absent(points, features, features_present)
        if lengths is not None:
            padding = (torch.arange(points.shape[1], device=points.device) >= lengths[:, None])[..., None]
            points = points.masked_fill(padding, 0.0)  # the content is ignored, even NaN
            features = None if features is None else features.masked_fill(padding, 0.0)
        if points.shape[0] == 0:
            return points.new_zeros(0, self.width)
        return self.embed(points, features, lengths)

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """`forward` after its checks: features are (B, N, C) with C = feature_channels, or None when C is 0."""
        raise NotImplementedError

    def _fill_absent(self, points: Tensor, features: Tensor | None, present: Tensor | None) -> Tensor | None:
        if self.absent_features is None:
            if features is not None:
                raise ValueError("this encoder has feature_channels=0: pass features=None")
            return None
        absent = self.absent_features.to(points.dtype)
        expected = (*points.shape[:2], self.feature_channels)
        if features is None:
            return absent.expand(expected)
        if features.shape != expected:
            raise ValueError(f"features must be {expected}, not {tuple(features.shape)}")
        if present is None:
            return features.to(points.dtype)
        if present.shape != points.shape[:1] or present.dtype != torch.bool:
            raise ValueError(
                f"features_present must be ({len(points)},) bool, not {tuple(present.shape)} {present.dtype}"
            )
        return torch.where(present.to(points.device)[:, None, None], features.to(points.dtype), absent)
