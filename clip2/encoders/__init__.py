"""Networks that turn a point cloud into one vector; `create_encoder` builds them by name."""

from clip2.encoders import pointnet2 as _pointnet2  # noqa: F401  registers its models
from clip2.encoders.encoder import PointEncoder
from clip2.encoders.registry import create_encoder, encoder_options, list_encoders, register_encoder

__all__ = ["PointEncoder", "create_encoder", "encoder_options", "list_encoders", "register_encoder"]
