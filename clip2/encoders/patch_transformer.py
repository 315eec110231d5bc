"""Transformers over patches of a point cloud: Point-BERT, Uni3D and OpenShape's PointBERT."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.encoders.encoder import PointEncoder, register_encoder
from clip2.encoders.patches import BallPatches, NearestPatches, Patches
from clip2.encoders.timm_init import start_from_timm

MLPKind = Literal["gelu", "swiglu", "swiglu norm"]

# Options of `uni3d` for the published sizes: timm's eva02_tiny/small_patch14_224, eva02_base/large_patch14_448 and
# eva_giant_patch14_560.
UNI3D_SIZES: dict[str, dict[str, Any]] = {
    "ti": {"dim": 192, "depth": 12, "heads": 3, "hidden": 512, "mlp": "swiglu"},
    "s": {"dim": 384, "depth": 12, "heads": 6, "hidden": 1024, "mlp": "swiglu"},
    "b": {"dim": 768, "depth": 12, "heads": 12, "hidden": 2048, "mlp": "swiglu norm"},
    "l": {"dim": 1024, "depth": 24, "heads": 16, "hidden": 2730, "mlp": "swiglu norm"},
    "g": {"dim": 1408, "depth": 40, "heads": 16, "hidden": 6144, "mlp": "gelu"},
}


@register_encoder
def pointbert(
    feature_channels: int = 3,
    num_patches: int = 64,
    patch_size: int = 32,
    patch_width: int = 256,
    dim: int = 384,
    depth: int = 12,
    heads: int = 6,
) -> PointEncoder:
    """Point-BERT (Yu et al., CVPR 2022, arXiv 2111.14819): patches of nearest points, positions added at every block.

    The paper's classification network up to its global feature (class token beside the maximum over patches):
    21.9 M parameters (22.1 M with its classifier). 3.85 GFLOP as computed here for 1024 points. ULIP (arXiv 2212.05171)
    takes 512 patches of 8192 points; ULIP-2 (arXiv 2305.08275) a depth of 18 and 512 patches of 10,000 points.

    Args:
        feature_channels: channels per point beside xyz.
        num_patches, patch_size: patches, and nearest points in each.
        patch_width: channels of a patch before it becomes a token.
        dim, depth, heads: of the transformer.
    """
    patches = NearestPatches(feature_channels, num_patches, patch_size, patch_width, dim)
    trunk = Trunk(dim, depth, heads, 4 * dim, qkv_bias=False)
    return PatchTransformer(feature_channels, patches, trunk, "every block", "class and maximum")


@register_encoder
def uni3d(
    feature_channels: int = 3,
    num_patches: int = 512,
    patch_size: int = 64,
    patch_width: int = 512,
    dim: int = 192,
    depth: int = 12,
    heads: int = 3,
    hidden: int = 512,
    mlp: MLPKind = "swiglu",
    init_from_timm: str | None = None,
) -> PointEncoder:
    """Uni3D (Zhou et al., ICLR 2024, arXiv 2310.06773): an EVA image transformer whose patches are cut from points.

    The defaults are Uni3D-Ti: 6.0 M parameters (6.2 M with the projection to 1024 channels). 31.5 GFLOP as computed here
    for 1024 points or more, most of them in the overlapping patches. :data:`UNI3D_SIZES` has the options of the others.

    Args:
        feature_channels, num_patches, patch_size, patch_width, dim, depth, heads: as of :func:`pointbert`.
        hidden: channels inside the MLPs.
        mlp: ``swiglu`` in Ti and S, ``swiglu norm`` in B and L, ``gelu`` in g.
        init_from_timm: name of a pretrained EVA model of timm with the same blocks, like ``eva02_tiny_patch14_224``;
            its blocks are where this network's start, as in the paper.
    """
    patches = NearestPatches(feature_channels, num_patches, patch_size, patch_width, dim)
    trunk = Trunk(dim, depth, heads, hidden, qkv_bias=True, mlp=mlp, eps=1e-6)
    encoder = PatchTransformer(feature_channels, patches, trunk, "once", "class")
    if init_from_timm is not None:
        start_from_timm(encoder.blocks, init_from_timm)
    return encoder


@register_encoder
def openshape_pointbert(
    feature_channels: int = 3,
    num_patches: int = 384,
    radius: float = 0.2,
    patch_size: int = 64,
    patch_width: int = 256,
    dim: int = 512,
    depth: int = 12,
    heads: int = 8,
    hidden: int = 1536,
) -> PointEncoder:
    """OpenShape's PointBERT (Liu et al., NeurIPS 2023, arXiv 2305.10764): patches of balls, no added positions.

    31.7 M parameters (32.3 M with the projection to 1280 channels). 26.6 GFLOP as computed here for 1024 points.

    Args:
        feature_channels: channels per point beside xyz.
        num_patches, radius, patch_size: patches, radius of their balls, clouds lying in the unit sphere, and points
            taken from each.
        patch_width: channels of a patch before it becomes a token.
        dim, depth, heads, hidden: of the transformer.
    """
    patches = BallPatches(feature_channels, num_patches, radius, patch_size, patch_width, dim)
    trunk = Trunk(dim, depth, heads, hidden, qkv_bias=False)
    return PatchTransformer(feature_channels, patches, trunk, "none", "class", last_norm=False)


class PatchTransformer(PointEncoder):
    """Patches as tokens, a class token, transformer blocks.

    Args:
        feature_channels: channels per point beside xyz.
        patches: makes the tokens.
        trunk: the blocks.
        positions: where an embedding of the patches' centers is added: before ``every block``, ``once`` or ``none``.
        readout: the ``class`` token, or beside it the maximum over the patches.
        last_norm: normalize the tokens before they are read.
    """

    def __init__(
        self,
        feature_channels: int,
        patches: NearestPatches | BallPatches,
        trunk: Trunk,
        positions: Literal["every block", "once", "none"],
        readout: Literal["class", "class and maximum"],
        last_norm: bool = True,
    ) -> None:
        dim = trunk.dim
        super().__init__(dim if readout == "class" else 2 * dim, feature_channels)
        self.patches, self.positions, self.readout = patches, positions, readout
        self.class_token = nn.Parameter(torch.randn(dim) * 0.02)
        if positions != "none":
            self.class_position = nn.Parameter(torch.randn(dim) * 0.02)
            self.position = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, dim))
        self.blocks = trunk
        self.norm = nn.LayerNorm(dim, eps=trunk.eps) if last_norm else nn.Identity()

    def embed(self, points: Tensor, features: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, N, 3), (B, N, C) or None, (B,) or None → (B, width)."""
        patches = cast("Patches", self.patches(points, features, lengths))
        batch, count, _ = patches.tokens.shape
        x = torch.cat([self.class_token.expand(batch, 1, -1), patches.tokens.to(points.dtype)], 1)
        place = self._places(patches.centers)
        mask, padding = None, None
        if patches.lengths is not None:
            real = torch.arange(-1, count, device=x.device) < patches.lengths[:, None]
            mask, padding = real[:, None, None], ~real[:, 1:, None]
        if self.positions == "once" and place is not None:
            x, place = x + place, None
        x = self.norm(self.blocks(x, place, mask, first_only=self.readout == "class")).to(points.dtype)
        if self.readout == "class":
            return x[:, 0]
        tokens = x[:, 1:] if padding is None else x[:, 1:].masked_fill(padding, -torch.inf)
        return torch.cat([x[:, 0], tokens.amax(1)], -1)

    def _places(self, centers: Tensor) -> Tensor | None:
        if self.positions == "none":
            return None
        with torch.autocast(
            centers.device.type, enabled=False
        ):  # a place is told by all digits of its coordinates
            places = self.position(centers)
        return torch.cat([self.class_position.expand(centers.shape[0], 1, -1), places], 1)


class Trunk(nn.ModuleList):
    """Transformer blocks, named as timm names those of its ViTs.

    Args:
        dim, depth, heads: channels, blocks, attention heads in each.
        hidden: channels inside the MLPs.
        qkv_bias: whether queries, keys and values have one.
        mlp: activation of the MLPs: ``gelu``; ``swiglu`` gates one half of a layer with the other
            (arXiv 2002.05202); ``swiglu norm`` normalizes the result.
        eps: of the LayerNorms.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        hidden: int,
        qkv_bias: bool,
        mlp: MLPKind = "gelu",
        eps: float = 1e-5,
    ) -> None:
        super().__init__(_Block(dim, heads, hidden, qkv_bias, mlp, eps) for _ in range(depth))
        self.dim, self.eps = dim, eps

    def forward(
        self, x: Tensor, place: Tensor | None, mask: Tensor | None, first_only: bool = False
    ) -> Tensor:
        """Run the blocks.

        Args:
            x: (B, T, C).
            place: (B, T, C) added before every block, or None.
            mask: (B, 1, 1, T) of real tokens, or None.
            first_only: return the first token alone, (B, 1, C); the last block then computes no other.
        """
        for number, block in enumerate(self, 1):
            x = block(x if place is None else x + place, mask, first_only and number == len(self))
        return x


class _Block(nn.Module):
    """Attention and MLP, each normalized before and added to what came in (arXiv 2010.11929)."""

    def __init__(self, dim: int, heads: int, hidden: int, qkv_bias: bool, mlp: MLPKind, eps: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} does not divide by {heads} heads")
        if mlp not in get_args(MLPKind):
            raise ValueError(f"mlp is {mlp!r}, use one of {', '.join(get_args(MLPKind))}")
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=eps), nn.LayerNorm(dim, eps=eps)
        self.attn = nn.ModuleDict(
            {"qkv": nn.Linear(dim, 3 * dim, bias=qkv_bias), "proj": nn.Linear(dim, dim)}
        )
        self.gated = mlp != "gelu"
        layers: dict[str, nn.Module] = {
            "fc1": nn.Linear(dim, 2 * hidden if self.gated else hidden),
            "fc2": nn.Linear(hidden, dim),
        }
        if mlp == "swiglu norm":
            layers["norm"] = nn.LayerNorm(hidden, eps=eps)
        self.mlp = nn.ModuleDict(layers)
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None, first_only: bool = False) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.attn["qkv"](self.norm1(x)).view(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if first_only:
            x, query = x[:, :1], query[:, :, :1]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.attn["proj"](mixed.transpose(1, 2).reshape(x.shape))
        return x + self.mlp["fc2"](self._inner(self.mlp["fc1"](self.norm2(x))))

    def _inner(self, x: Tensor) -> Tensor:
        if not self.gated:
            return F.gelu(x)
        gate, value = x.chunk(2, -1)
        x = F.silu(gate) * value
        return cast("Tensor", self.mlp["norm"](x)) if "norm" in self.mlp else x
