"""Point encoders: networks that turn a point cloud into one vector; ``create_encoder`` builds them by name."""

from clip2.encoders import patch_transformer, pointmlp, pointnet2, pointnext
from clip2.encoders.encoder import (
    ENCODERS,
    PointEncoder,
    create_encoder,
    encoder_options,
    list_encoders,
    register_encoder,
)
from clip2.encoders.timm_init import weights_follow

__all__ = [
    "ENCODERS",
    "PointEncoder",
    "create_encoder",
    "encoder_options",
    "list_encoders",
    "patch_transformer",
    "pointmlp",
    "pointnet2",
    "pointnext",
    "register_encoder",
    "weights_follow",
]
