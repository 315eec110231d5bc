"""Starting from public PointNet++ checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from clip2.encoders.encoder import PointEncoder


def load_pointnet2_ssg(encoder: PointEncoder, state: Mapping[str, Tensor]) -> None:
    """Fill a ``pointnet2_ssg`` encoder from the layout that PyTorch ports of PointNet++ share.

    That layout has ``sa1.mlp_convs.0.weight`` (C, C', 1, 1) with bias, ``sa1.mlp_bns.0.*``, the same for sa2 and sa3,
    and classifier layers, which are left out. Our linear layers have no bias in front of BatchNorm: it moves into
    the running mean. The learned absent-feature state has no counterpart and keeps its value.

    Args:
        encoder: as `create_encoder("pointnet2_ssg", ...)` builds it.
        state: the checkpoint's tensors.

    Raises:
        ValueError: a tensor is missing or has another shape; the message names it.
    """
    ours = encoder.state_dict()
    filled = {"absent_features": ours["absent_features"]} if "absent_features" in ours else {}
    places = {"sa1": "levels.0.mlps.0", "sa2": "levels.1.mlps.0", "sa3": "head"}
    for theirs, here in places.items():
        depth = sum(key.startswith(f"{here}.linears.") for key in ours)
        for layer in range(depth):
            norm = f"{theirs}.mlp_bns.{layer}"
            found = {
                f"linears.{layer}.weight": _get(state, f"{theirs}.mlp_convs.{layer}.weight").flatten(1),
                f"norms.{layer}.running_mean": _get(state, f"{norm}.running_mean")
                - _get(state, f"{theirs}.mlp_convs.{layer}.bias"),
            }
            for name in ("weight", "bias", "running_var", "num_batches_tracked"):
                found[f"norms.{layer}.{name}"] = _get(state, f"{norm}.{name}")
            for name, tensor in found.items():
                key = f"{here}.{name}"
                if ours[key].shape != tensor.shape:
                    raise ValueError(
                        f"{theirs} layer {layer} of the checkpoint has {tuple(tensor.shape)}, "
                        f"{key} of the encoder {tuple(ours[key].shape)}; check feature_channels and widths"
                    )
                filled[key] = tensor
    encoder.load_state_dict(filled)


def _get(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise ValueError(f"the checkpoint has no {key!r}; is it a PointNet++ SSG classifier?")
    return state[key]
